// The derivations end-to-end tests build; a salt makes them new, so that no store has them yet.

/** A closure of five: a diamond with two outputs in it, and a fixed output. Attribute `top`. */
export const CLOSURE = `
{ salt }:
let
  pkgs = import <nixpkgs> {};
  base = pkgs.runCommand "base" { inherit salt; } "mkdir -p $out/lib; echo base $salt > $out/lib/base";
  left = pkgs.runCommand "left" { inherit base; outputs = [ "out" "dev" ]; } ''
    mkdir -p $out $dev
    cat $base/lib/base > $out/left
    echo $out $base > $dev/paths
  '';
  right = pkgs.runCommand "right" { inherit base; } "echo building right; ln -s $base/lib $out";
  fixed = pkgs.fixedOutput "fixed" (builtins.hashString "sha256" "fixed \${salt}") "echo -n fixed \${salt} > $out";
  top = pkgs.runCommand "top" { inherit left right fixed; dev = left.dev; } ''
    mkdir $out
    cat $left/left $right/base $fixed > $out/all
    ln -s $dev $out/dev
  '';
in { inherit top left right base fixed; }
`;

/** A floating content-addressed derivation and one that depends on it. */
export const FLOATING = `
{ salt }:
let
  pkgs = import <nixpkgs> {};
  floating = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  inner = pkgs.runCommand "inner" (floating // { inherit salt; }) "echo inner $salt > $out";
in {
  outer = pkgs.runCommand "outer" (floating // { inherit inner; }) "mkdir $out; ln -s $inner $out/inner";
  inherit inner;
}
`;
