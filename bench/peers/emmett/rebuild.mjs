// Appends orders to emmett's event store, or rebuilds their read model from it. README.md says how to run it by hand.

import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';

import { getPostgreSQLEventStore, rebuildPostgreSQLProjections } from '@event-driven-io/emmett-postgresql';
import pg from 'pg';

import { order, orders } from './orders.mjs';

const EVENTS_OF_AN_ORDER = 2;
/** Appends under way at once; emmett appends to one stream at a time. */
const APPENDS = 1;

const USAGE = `usage: DATABASE_URL=postgres://… node rebuild.mjs append [--events N] [--seconds S] [--partitions P]
       DATABASE_URL=postgres://… node rebuild.mjs rebuild [--batch N]`;

const OPTIONS = {
  events: { type: 'string', default: '200000' },
  seconds: { type: 'string', default: '180' },
  partitions: { type: 'string', default: '4' },
  batch: { type: 'string', default: '1000' },
};

/** A whole number of at least one. */
const count = (values, name) => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${name} must be a whole number above 0, and is ${values[name]}`);
};

const secondsSince = (began) => (performance.now() - began) / 1e3;

/** Appends orders until there are so many events or the time is over. */
const append = async (url, values) => {
  const last = Math.ceil(count(values, 'events') / EVENTS_OF_AN_ORDER);
  const [seconds, partitions] = [count(values, 'seconds'), count(values, 'partitions')];
  // How the past gets there is not measured, so its commits need not wait for the disk.
  const relaxed = new URL(url);
  relaxed.searchParams.set('options', '-c synchronous_commit=off');
  const store = getPostgreSQLEventStore(relaxed.href);
  await store.schema.migrate();
  const began = performance.now();
  let next = 0;
  // One after the other: emmett 0.42.0 reads events by transaction but goes on behind a position, so it passes over some of
  // those that were appended at the same time.
  while (next < last && secondsSince(began) < seconds) {
    const { stream, events } = order(next++, partitions);
    await store.appendToStream(stream, events);
  }
  await store.close();
  return { events: next * EVENTS_OF_AN_ORDER, seconds: secondsSince(began) };
};

/** The same projection, and what it failed on: the consumer ends without a word then. */
const watched = (projection) => {
  const failures = [];
  const handle = async (...given) => {
    try {
      return await projection.handle(...given);
    } catch (error) {
      failures.push(error);
      throw error;
    }
  };
  return { failures, projection: { ...projection, handle } };
};

/** Rebuilds the read model from the first event on, as emmett's own guide does it. */
const rebuild = async (url, values) => {
  const began = performance.now();
  const { failures, projection } = watched(orders);
  const consumer = rebuildPostgreSQLProjections({
    connectionString: url,
    projection,
    // A rebuild goes on at the checkpoint of its processor; a name of its own lets it begin at the beginning.
    processorId: `rebuild-${randomUUID()}`,
    // By default 100 messages and a pause of 50 ms between batches: this is faster.
    pulling: { batchSize: count(values, 'batch'), pullingFrequencyInMs: 0 },
  });
  await consumer.start();
  const seconds = secondsSince(began);
  await consumer.close();
  if (failures.length > 0) throw failures[0];
  return { seconds, ...(await found(url)) };
};

/** What the store and the read model hold. */
const found = async (url) => {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query(
    `SELECT (SELECT count(*) FROM emt_messages)::int AS events, count(*)::int AS rows,
            (count(*) FILTER (WHERE status = 'confirmed' AND sequence = 2))::int AS confirmed,
            coalesce(sum(total), 0)::float8 AS total
     FROM orders`,
  );
  await client.end();
  return rows[0];
};

const main = async () => {
  const { positionals, values } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const work = { append, rebuild }[positionals[0]];
  const url = process.env.DATABASE_URL;
  if (!work || positionals.length !== 1 || !url) throw new Error(USAGE);
  const outcome = await work(url, values);
  const peak_bytes = process.resourceUsage().maxRSS * 1024;
  console.log(JSON.stringify({ ...outcome, peak_bytes }));
};

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
