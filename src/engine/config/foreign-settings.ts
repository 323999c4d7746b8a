// Settings of Nix that mean nothing to this program and are therefore accepted silently.

/** Names of Nix settings (manual, nix.conf; releases 2.8 to 2.36, with their old names) that are not in our table. */
const FOREIGN_SETTINGS: ReadonlySet<string> = new Set(
  `
  abort-on-warn accept-flake-config access-tokens allow-dirty allow-dirty-locks allow-import-from-derivation
  allow-new-privileges allow-symlinked-store allow-unsafe-native-code-during-evaluation allowed-impure-host-deps allowed-uris
  auto-allocate-uids auto-optimise-store bash-prompt bash-prompt-prefix bash-prompt-suffix repl-overlays
  build-dir build-extra-chroot-dirs
  build-extra-sandbox-paths build-hook build-hook-kill-timeout build-impersonate-linux-26 commit-lock-file-summary
  commit-lockfile-summary darwin-log-sandbox-violations debugger-on-trace debugger-on-warn download-buffer-size download-speed
  env-keep-derivations eval-attrset-update-layer-rhs-threshold eval-cache eval-cores eval-profile-file eval-profiler
  eval-profiler-frequency eval-system external-builders filetransfer-retry-attempts filetransfer-retry-delay
  filetransfer-retry-delay-rate-limited filetransfer-retry-jitter filetransfer-retry-max-delay filter-syscalls flake-registry
  fsync-metadata fsync-store-paths gc-reserved-space hashed-mirrors http2 http3 id-count ignore-gc-delete-failure ignore-try
  ignored-acls impersonate-linux-26 impure-env json-log-path keep-env-derivations lint-absolute-path-literals
  lint-short-path-literals lint-url-literals max-call-depth max-free min-free min-free-check-interval nar-buffer-size
  narinfo-cache-meta-ttl nix-path plugin-files pre-build-hook preallocate-contents print-missing pure-eval
  require-drop-supplementary-groups restrict-eval sandbox-dev-shm-size show-trace ssl-cert-file start-id sync-before-registering
  tarball-ttl trace-function-calls trace-import-from-derivation trace-verbose trust-tarballs-from-git-forges use-case-hack
  use-cgroups use-registries use-sqlite-wal use-xdg-base-directories user-agent-suffix warn-dirty warn-large-path-threshold
  warn-short-path-literals
  `
    .split(/\s+/)
    .filter((name) => name !== ""),
);

/** Whether the name (with or without `extra-`) is a Nix setting that does not concern this program. */
export function isForeignSetting(name: string): boolean {
  return FOREIGN_SETTINGS.has(name) || (name.startsWith("extra-") && FOREIGN_SETTINGS.has(name.slice("extra-".length)));
}
