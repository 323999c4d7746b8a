// What is accepted from a peer: the maximum length of everything read from it.

/** Bytes of one string: messages, environment values, build log lines. */
export const MAX_STRING_BYTES = 64 * 1024 * 1024;

/** Items of one list, set or map. */
export const MAX_ITEMS = 16_000_000;

/** Bytes of one store path, output name or other short name. */
export const MAX_NAME_BYTES = 4096;

/** Fields of one log frame, traces of one error, features of one handshake. */
export const MAX_FIELDS = 1024;
