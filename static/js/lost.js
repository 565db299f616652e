// Why seats are not held any more, in the words of docs/protocol.md's `reason`, and for people.
// `away` is the page's own: the hold ended while there was no connection.

export const LOST_SENTENCES = {
  expired: "Your time ran out, and your seats went back on sale.",
  lost: "The box office restarted and lost your hold. Nothing was charged.",
  released: "The box office released your seats. Nothing was charged.",
  payment_failed: "The payment did not go through, and your seats went back on sale. Nothing was charged.",
  away: "Your hold ended while you were disconnected.",
}
