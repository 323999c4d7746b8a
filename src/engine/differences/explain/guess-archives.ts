// Recognises differences in the headers of archives and object files, where times and build IDs have fixed places.

import type { ContentEvidence } from "../compare/compare-contents.ts";
import { type Cause, isText } from "./cause.ts";

/** Length of the header of one member of an ar archive, which ends in a backquote and a newline (ar(5)). */
const AR_HEADER = 60;
/** Length of a block of a tar archive (POSIX, ustar interchange format). */
const TAR_BLOCK = 512;
const ELF_BUILD_ID = Buffer.from("040000001400000003000000474e5500", "hex");

/** The cause when the difference lies in a header that is known; null otherwise. */
export function archiveCause(path: string, { first, other, offset, windowStart }: ContentEvidence): Cause | null {
  const one = Buffer.from(first.window);
  const at = offset - windowStart;
  const head = Buffer.from(first.head).toString("latin1");
  if (head.startsWith("\u001f\u008b")) {
    // RFC 1952, 2.3: MTIME is bytes 4 to 7.
    if (offset >= 4 && offset < 8) return timestamp("a gzip header");
    return { type: "compression", words: "compressed contents: unpack both to see what differs" };
  }
  if (/\.pyc$/.test(path) && offset >= 8 && offset < 12) return timestamp("compiled Python, the time of its source");
  if (inZipTime(one, at)) return timestamp("a zip entry");
  if (head.startsWith("!<arch>\n") && inArTime(one, at)) return timestamp("an ar member");
  const tar = tarField(one, at, offset, windowStart);
  if (tar !== null) return tar;
  if (inBuildId(one, at))
    return { type: "buildId", words: "a build ID, which follows from other differences in this or another file" };
  const isPacked = /^(?:\u00fd7zXZ|BZh|\u0028\u00b5\u002f\u00fd|PK\u0003\u0004)/.test(head);
  if (isPacked && !isText(other.window))
    return { type: "compression", words: "compressed contents: unpack both to see what differs" };
  return null;
}

function timestamp(where: string): Cause {
  return { type: "timestamp", words: `a time stamp in ${where}` };
}

/** APPNOTE.TXT 4.3.7 and 4.3.12: time and date are bytes 10 to 13 of a local header, 12 to 15 of a central one; 'UT' is an extra field of times. */
function inZipTime(bytes: Buffer, at: number): boolean {
  const starts = (magic: string, from: number, to: number): boolean => {
    for (let distance = from; distance <= to; distance++) {
      const start = at - distance;
      if (start >= 0 && bytes.toString("latin1", start, start + magic.length) === magic) return true;
    }
    return false;
  };
  return (
    starts("PK\u0003\u0004", 10, 13) ||
    starts("PK\u0001\u0002", 12, 15) ||
    (bytes.includes("PK\u0003\u0004") && starts("UT", 5, 16))
  );
}

/** ar(5): the modification time is bytes 16 to 27 of a member's header. */
function inArTime(bytes: Buffer, at: number): boolean {
  for (let start = Math.max(0, at - 27); start <= at - 16; start++) {
    if (bytes.toString("latin1", start + AR_HEADER - 2, start + AR_HEADER) === "`\n") return true;
  }
  return false;
}

/** POSIX ustar: mode, uid and gid at 100, mtime at 136, checksum at 148, owner and group names at 265. */
function tarField(bytes: Buffer, at: number, offset: number, windowStart: number): Cause | null {
  const start = offset - (offset % TAR_BLOCK) - windowStart;
  if (start < 0 || bytes.toString("latin1", start + 257, start + 262) !== "ustar") return null;
  const field = at - start;
  if (field >= 136 && field < 148) return timestamp("a tar header");
  if ((field >= 108 && field < 124) || (field >= 265 && field < 329)) {
    return { type: "unknown", words: "the owner of a file in a tar archive" };
  }
  if (field < 100)
    return { type: "ordering", words: "an ordering: another file stands at this place of a tar archive" };
  return null;
}

/** ELF: a note of type NT_GNU_BUILD_ID with its 20 bytes. */
function inBuildId(bytes: Buffer, at: number): boolean {
  const note = bytes.lastIndexOf(ELF_BUILD_ID, at);
  return note >= 0 && at >= note + ELF_BUILD_ID.length && at < note + ELF_BUILD_ID.length + 20;
}
