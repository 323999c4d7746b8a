// What the plan keeps of its own reckoning from one decision to the next: how far records are believed, the outlook of a pass, what is left to do.

/** What ended builds of this run show of how recorded and actual lengths go together. */
export interface Belief {
  /** Sums over ended builds of recorded duration: logarithms of recorded (x) and actual (y) work. */
  count: number;
  x: number;
  y: number;
  xx: number;
  xy: number;
  /** Sum and number of the logarithms recorded of all builds of the run. */
  allX: number;
  all: number;
  /** The slope in force: 1 believes every record, 0 none. */
  slope: number;
  /** Ended builds at which the slope is looked at again. */
  reviewAt: number;
}

export function createBelief(): Belief {
  return { count: 0, x: 0, y: 0, xx: 0, xy: 0, allX: 0, all: 0, slope: 1, reviewAt: 4 };
}

/** What a pass knows, machines by index; kept with the plan only so that a pass allocates nothing. */
export interface Outlook {
  now: number;
  /** Work per time of each machine: its pace without what other load takes. */
  pace: Float64Array;
  /** The highest of machines that are there, and the sum over all their slots. */
  topPace: number;
  capacity: number;
  usableSlots: number;
  /** When slots will be free, earliest first, of machines that were asked about in this pass; goals that wait for one occupy it. */
  readonly slots: (number[] | null)[];
  /** The state of the machines, and the pass, for which all this was worked out. */
  stamp: number;
  pass: number;
  /** Machines whose slots were filled in, to be emptied for the next pass. */
  readonly filled: number[];
  /** When the run is expected to be over (monotonic ms), and when and at which pass that was worked out. */
  over: number;
  overAt: number;
  overPass: number;
}

export function createOutlook(): Outlook {
  return {
    now: 0,
    pace: new Float64Array(0),
    topPace: 0,
    capacity: 0,
    usableSlots: 0,
    slots: [],
    filled: [],
    stamp: -1,
    pass: 0,
    over: 0,
    overAt: Number.NEGATIVE_INFINITY,
    overPass: 0,
  };
}

/** Sums over goals that are made by building. */
export interface Progress {
  done: number;
  left: number;
  unknownLeft: number;
  knownWorkLeft: number;
  guessedWorkLeft: number;
}

export function createProgress(): Progress {
  return { done: 0, left: 0, unknownLeft: 0, knownWorkLeft: 0, guessedWorkLeft: 0 };
}
