// What builds of this run teach about those to come: how long guesses and recorded durations turn out to be, and how far off they are.
//
// Lengths of builds are spread very widely, so everything is kept as logarithms of actual over expected. The typical ratio (geometric mean) says what to
// expect; the spread says how much a bet on it is worth.
import { GUESSES } from "../state/goal-class.ts";

/** Logarithms of actual ÷ expected, of builds that ended. */
interface Ratios {
  count: number;
  sum: number;
  /** How far the next one was from what was expected by then: a moving mean of squares. */
  variance: number;
  /** The last of these differences, as factors; what the first spread would give before there were any. */
  readonly factors: number[];
  next: number;
}

export interface Learned {
  /** Builds with a recorded duration. */
  readonly known: Ratios;
  /** All builds of unknown duration, and by kind of goal. */
  readonly all: Ratios;
  readonly byGuess: readonly Ratios[];
  /** The typical ratio of each guess, worked out when something was learned. */
  readonly typical: number[];
  /** Running builds that have outlived what was expected of them, recorded durations and guesses apart: their number and their ratios so far. */
  overdue: { readonly known: Overdue; readonly guessed: Overdue };
}

export interface Overdue {
  readonly count: number;
  readonly sum: number;
}

/** Builds a kind of goal needs before its own average weighs as much as that of all. */
const PRIOR = 8;

/** Spread (standard deviation of the logarithm) before anything was seen: recorded durations, guesses. */
const KNOWN_SPREAD = 0.4;
const GUESSED_SPREAD = 1.2;

/** The first spread weighs as much as this many builds; later ones are forgotten at the second rate. */
const SPREAD_PRIOR = 3;
const SPREAD_MEMORY = 40;

/** No single build teaches more than this (logarithm of the ratio). */
const MOST = Math.log(1000);

/** Middles of twelve equal parts of a normal distribution. */
const QUANTILES = [-1.73, -1.15, -0.81, -0.55, -0.32, -0.1, 0.1, 0.32, 0.55, 0.81, 1.15, 1.73] as const;

/** So many of the last differences are kept. */
const MEMORY = 48;

export function createLearned(): Learned {
  const ratios = (spread: number): Ratios => ({
    count: 0,
    sum: 0,
    variance: spread * spread,
    next: 0,
    factors: QUANTILES.map((quantile) => Math.exp(quantile * spread)),
  });
  return {
    typical: new Array<number>(GUESSES).fill(1),
    known: ratios(KNOWN_SPREAD),
    all: ratios(GUESSED_SPREAD),
    byGuess: Array.from({ length: GUESSES }, () => ratios(GUESSED_SPREAD)),
    overdue: { known: { count: 0, sum: 0 }, guessed: { count: 0, sum: 0 } },
  };
}

/** Notes an ended build: the logarithm of its actual over its expected length, and the same without what the machine is to blame for. */
export function learn(learned: Learned, guess: number, log: number, own: number): void {
  const bounded = Math.min(MOST, Math.max(-MOST, log));
  const ratios = guess === 0 ? [learned.known] : [learned.all, learned.byGuess[guess]!];
  for (const each of ratios) {
    // The first one says how far off the guess is, not how far builds are from each other.
    if (each.count === 0 && guess !== 0) continue;
    const middle = guess === 0 ? typicalLog(learned, guess) : each.sum / each.count;
    const off = Math.min(MOST, Math.max(-MOST, own)) - middle;
    const rate = 1 / Math.min(SPREAD_PRIOR + each.count + 1, SPREAD_MEMORY);
    each.variance += rate * (off * off - each.variance);
    // The first ones stand beside what was supposed, then take its place.
    each.factors[each.factors.length < MEMORY ? each.factors.length : each.next] = Math.exp(off);
    if (each.factors.length === MEMORY) each.next = (each.next + 1) % MEMORY;
  }
  for (const each of ratios) {
    each.count += 1;
    each.sum += bounded;
  }
  workOutTypical(learned);
}

/** Says how many running builds have outlived what was expected of them, and what the logarithms of their ratios come to so far. */
export function noteOverdue(learned: Learned, known: Overdue, guessed: Overdue): void {
  const before = learned.overdue;
  if (known.count + guessed.count + before.known.count + before.guessed.count === 0) return;
  learned.overdue = { known, guessed };
  workOutTypical(learned);
}

function workOutTypical(learned: Learned): void {
  for (let guess = 0; guess < GUESSES; guess++) learned.typical[guess] = Math.exp(typicalLog(learned, guess));
}

/** Logarithm of the typical ratio of a guess; running builds that are overdue count with what they have reached. */
export function typicalLog({ known, all, byGuess, overdue }: Learned, guess: number): number {
  if (guess === 0) return (known.sum + overdue.known.sum) / (known.count + overdue.known.count + 1);
  const general = (all.sum + overdue.guessed.sum) / (all.count + overdue.guessed.count + 1);
  const own = byGuess[guess]!;
  return (own.sum + PRIOR * general) / (own.count + PRIOR);
}

/** What to multiply the expected length of a guess with. */
export function typicalRatio(learned: Learned, guess: number): number {
  return learned.typical[guess]!;
}

/** The mean ratio, which is above the typical one: what many builds come to together. */
export function meanRatio(learned: Learned, guess: number): number {
  const { variance } = guess === 0 ? learned.known : learned.all;
  // Beyond this the mean is made by builds too rare to be planned for.
  return Math.exp(typicalLog(learned, guess) + Math.min(variance, 2) / 2);
}

/** How far off a build is to be expected (standard deviation of the logarithm). */
export function spreadOf(learned: Learned, isKnown: boolean): number {
  return Math.sqrt(isKnown ? learned.known.variance : learned.all.variance);
}

/** What is longer than any of the last ones: standard deviations above the middle, and how likely. */
const TAIL: readonly (readonly [deviations: number, weight: number])[] = [
  [2.5, 0.01],
  [3.5, 0.003],
  [5, 0.001],
];

/** A build that begins at a time and takes what is expected times a factor nobody knows yet (ms). */
export interface Prospect {
  readonly startsAt: number;
  readonly takesMs: number;
}

/** What having the second instead of the first gains, over all lengths that a build of the guess may turn out to have. */
export interface Gain {
  /** Mean of how much less the end lies behind `room`, in ms. */
  readonly ms: number;
  /** How likely it is that there is any. */
  readonly chance: number;
}

export function gainOf(learned: Learned, guess: number, first: Prospect, second: Prospect, room: number): Gain {
  const own = guess === 0 ? learned.known : learned.byGuess[guess]!;
  const ratios = guess === 0 || own.count >= LANE_ENOUGH ? own : learned.all;
  const spread = Math.sqrt(ratios.variance);
  const headFirst = first.startsAt - room;
  const headSecond = second.startsAt - room;
  let ms = 0;
  let chance = 0;
  let left = 1;
  for (const [deviations, weight] of TAIL) {
    const factor = Math.exp(deviations * spread);
    const gained = Math.max(0, headFirst + first.takesMs * factor) - Math.max(0, headSecond + second.takesMs * factor);
    ms += gained * weight;
    if (gained > 0) chance += weight;
    left -= weight;
  }
  const { factors } = ratios;
  const weight = left / factors.length;
  for (let at = 0; at < factors.length; at++) {
    const factor = factors[at]!;
    const gained = Math.max(0, headFirst + first.takesMs * factor) - Math.max(0, headSecond + second.takesMs * factor);
    ms += gained * weight;
    if (gained > 0) chance += weight;
  }
  return { ms, chance };
}

/** A kind of goal speaks for itself from so many builds on. */
const LANE_ENOUGH = 24;
