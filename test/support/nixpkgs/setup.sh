# The generic builder of the stand-in: a build command, or the phases of stdenv, in busybox's shell.
export PATH="$tools/bin"
for input in ${nativeBuildInputs:-} ${buildInputs:-}; do
  if [ -d "$input/bin" ]; then PATH="$input/bin:$PATH"; fi
done

if [ -n "${buildCommand:-}" ]; then
  eval "$buildCommand"
  exit 0
fi

# What stdenv writes at each phase; Nix shows it as the phase of the build.
show_phase() {
  if [ -n "${NIX_LOG_FD:-}" ]; then
    echo "@nix {\"action\":\"setPhase\",\"phase\":\"$1\"}" >&"$NIX_LOG_FD"
  fi
}

unpack() {
  if [ -z "${src:-}" ]; then return 0; fi
  case "$src" in
    *.tar | *.tar.*) tar xf "$src" ;;
    *) cp -r "$src" source && chmod -R u+w source ;;
  esac
  for entry in *; do
    if [ -d "$entry" ]; then cd "$entry" && break; fi
  done
}

for phase in ${phases:-unpackPhase patchPhase configurePhase buildPhase checkPhase installPhase fixupPhase}; do
  eval "body=\${$phase:-}"
  if [ -z "$body" ] && [ "$phase" = unpackPhase ] && [ -n "${src:-}" ]; then body=unpack; fi
  if [ -z "$body" ]; then continue; fi
  show_phase "$phase"
  eval "$body"
done
