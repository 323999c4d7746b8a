#!/usr/bin/env bash
# Runs everything `npm test` promises: tools, lint, types and the vitest projects; the last line says what passed, failed and was skipped.
#
# usage: test/run.sh [PROJECT…]     PROJECT is unit, system or soak. Without any: lint, types, unit and system.
# With CI set, a skipped test is a failure: there everything can be installed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# Everything runs on the Node the checkout brings where the machine's own is older.
brought=$(node bin/brought-node.js --print) || exit 1
PATH="$(dirname "$brought"):$PWD/node_modules/.bin:$PATH"
export PATH

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
failed_steps=()

step() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  "$@" </dev/null || failed_steps+=("$name")
}

project() {
  vitest run --config test/vitest.config.ts --project "$1" --passWithNoTests \
    --reporter=default --reporter=json --outputFile.json="$results/$1.json"
}

# What is missing is skipped by the tests that need it, so it is no failure by itself.
printf '== tools\n'
bash test/support/install-tools.sh </dev/null || true

projects=("$@")
if [ ${#projects[@]} -eq 0 ]; then
  projects=(unit system)
  step "lint" biome ci --config-path=.ci .
  # Emits dist as well: the system tests run the program as it is installed.
  step "program" npm run --silent build
  step "types of the tests" tsc -p test/tsconfig.json --noEmit
fi
for name in "${projects[@]}"; do step "$name tests" project "$name"; done

printf '\n== result\n'
files=()
for name in "${projects[@]}"; do files+=("$results/$name.json"); done
node test/support/closing-line.ts "${files[@]}" -- ${failed_steps[@]+"${failed_steps[@]}"}
