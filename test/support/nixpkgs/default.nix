# A stand-in for <nixpkgs> that needs no network: busybox is its only program.
# The functions mean what nixpkgs' functions of that name mean, for builds small enough to do without a compiler.
{
  system ? builtins.currentSystem,
  # A folder with bin/busybox and a link per applet; nixpkgs.ts puts one beside this file.
  busybox ? ./busybox,
  config ? { },
  overlays ? [ ],
}:

let
  tools = builtins.path {
    name = "busybox";
    path = busybox;
  };

  mkDerivation =
    attrs:
    derivation (
      {
        inherit system;
        builder = "${tools}/bin/sh";
        args = [
          "-e"
          ./setup.sh
        ];
        name = if attrs ? pname then "${attrs.pname}-${attrs.version}" else attrs.name;
        inherit tools;
      }
      // builtins.removeAttrs attrs [
        "meta"
        "passthru"
      ]
    )
    // (attrs.passthru or { });

  runCommand =
    name: env: buildCommand:
    mkDerivation ({ inherit name buildCommand; } // env);

  runCommandLocal =
    name: env:
    runCommand name (
      {
        preferLocalBuild = true;
        allowSubstitutes = false;
      }
      // env
    );

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
    }:
    runCommandLocal name
      {
        inherit text destination;
        executable = if executable then "1" else "";
        passAsFile = [ "text" ];
      }
      ''
        target=$out$destination
        mkdir -p "$(dirname "$target")"
        cp "$textPath" "$target"
        if [ -n "$executable" ]; then chmod +x "$target"; fi
      '';
in
{
  inherit
    system
    mkDerivation
    runCommand
    runCommandLocal
    writeTextFile
    ;
  busybox = tools;
  stdenv = {
    inherit mkDerivation system;
    shell = "${tools}/bin/sh";
  };
  runtimeShell = "${tools}/bin/sh";

  writeText = name: text: writeTextFile { inherit name text; };
  writeScript =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
    };
  writeShellScript =
    name: text:
    writeTextFile {
      inherit name;
      executable = true;
      text = "#!${tools}/bin/sh\n${text}";
    };

  symlinkJoin =
    { name, paths }:
    runCommandLocal name { inherit paths; } ''
      mkdir -p $out
      for path in $paths; do
        (cd $path && find . -type d) | while read -r dir; do mkdir -p "$out/$dir"; done
        (cd $path && find . ! -type d) | while read -r file; do ln -s "$path/$file" "$out/$file"; done
      done
    '';

  # What fetchurl is to a builder: its output is known by hash beforehand, its program may look at the world.
  fixedOutput =
    name: sha256: buildCommand:
    mkDerivation {
      inherit name buildCommand;
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = sha256;
    };
}
