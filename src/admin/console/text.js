// Numbers and times as words.

/** A count with its thousands apart; a dash where it is not known. */
export function count(number) {
  return number === null || number === undefined ? "–" : Number(number).toLocaleString("en");
}

/** "1 message", "2 messages". */
export function many(number, one, several = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : several}`;
}

/** Messages per second, with as many digits as say something. */
export function perSecond(rate) {
  if (rate === null || rate === undefined) return "–";
  if (rate === 0) return "0/s";
  if (rate < 0.095) return "< 0.1/s";
  return `${rate < 10 ? rate.toFixed(1) : count(Math.round(rate))}/s`;
}

/** A length of time: "23 s", "4 min 10 s", "2 h 5 min", "3 days 4 h". */
export function lasting(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return parts(whole, 60, "min", 1, "s");
  if (whole < 86_400) return parts(whole, 3_600, "h", 60, "min");
  return parts(whole, 86_400, whole < 172_800 ? "day" : "days", 3_600, "h");
}

function parts(seconds, unit, name, lesser, lesserName) {
  const rest = Math.floor((seconds % unit) / lesser);
  return `${Math.floor(seconds / unit)} ${name}${rest ? ` ${rest} ${lesserName}` : ""}`;
}

/** The clock time of a moment, with its date when that is not today. */
export function clock(moment) {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return "–";
  const time = date.toLocaleTimeString("en-GB");
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

/** Seconds since a moment. */
export function secondsSince(moment) {
  return (Date.now() - new Date(moment).getTime()) / 1_000;
}
