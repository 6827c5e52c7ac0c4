// node-postgres: rows, prepared statements, transactions, COPY, errors, cancel.
const assert = require('assert');
const { pipeline } = require('stream/promises');
const { Client } = require('pg');
const { from: copyFrom, to: copyTo } = require('pg-copy-streams');

async function main() {
  const client = new Client({ database: 'gate' });
  await client.connect();
  await client.query('DROP TABLE IF EXISTS node_t');
  await client.query('CREATE TABLE node_t (id int PRIMARY KEY, name text, at timestamptz, done boolean)');
  const at = new Date('2024-02-29T12:00:00Z');
  for (let id = 0; id < 10; id++) {
    await client.query({
      name: 'insert',
      text: 'INSERT INTO node_t VALUES ($1, $2, $3, $4)',
      values: [id, `name ${id}`, at, id % 2 === 0],
    });
  }
  const found = await client.query('SELECT * FROM node_t WHERE id = $1', [4]);
  assert.deepStrictEqual(found.rows, [{ id: 4, name: 'name 4', at, done: true }]);
  await client.query('BEGIN');
  const changed = await client.query('UPDATE node_t SET name = $2 WHERE id = $1 RETURNING name', [3, 'new']);
  assert.deepStrictEqual(changed.rows, [{ name: 'new' }]);
  const gone = await client.query('DELETE FROM node_t');
  assert.strictEqual(gone.rowCount, 10);
  await client.query('ROLLBACK');
  await assert.rejects(client.query('INSERT INTO node_t (id) VALUES (1)'), { code: '23505' });
  await assert.rejects(client.query('SELECT nope'), { code: '42703', position: '8' });
  await assert.rejects(
    client.query("SET statement_timeout = '300ms'; SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b"),
    { code: '57014' },
  );
  await client.query('SET statement_timeout = 0');
  // COPY both ways, more than one buffer of it.
  const lines = Array.from({ length: 20000 }, (_, n) => `${n + 1000}\tcopied ${n}\n`);
  await pipeline(lines, client.query(copyFrom('COPY node_t (id, name) FROM STDIN')));
  let copied = '';
  const output = client.query(copyTo('COPY (SELECT id, name FROM node_t WHERE id >= 1000 ORDER BY id) TO STDOUT'));
  for await (const chunk of output) {
    copied += chunk;
  }
  assert.strictEqual(copied, lines.join(''));
  await client.query('DELETE FROM node_t WHERE id >= 1000');
  // Another connection cancels.
  const other = new Client({ database: 'gate' });
  await other.connect();
  const slow = assert.rejects(
    client.query('SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b'),
    { code: '57014' },
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  const cancelled = await other.query('SELECT pg_cancel_backend($1) AS done', [client.processID]);
  assert.strictEqual(cancelled.rows[0].done, true);
  await slow;
  await other.end();
  const tags = await client.query('SELECT $1::text[] AS tags, $2::jsonb AS doc', [['a', 'b c'], { a: [1] }]);
  assert.deepStrictEqual(tags.rows, [{ tags: ['a', 'b c'], doc: { a: [1] } }]);
  const heard = new Promise((resolve) => client.once('notification', resolve));
  await client.query('LISTEN node_news');
  await client.query("SELECT pg_notify('node_news', 'hello')");
  assert.strictEqual((await heard).payload, 'hello');
  const count = await client.query('SELECT count(*) AS n FROM node_t');
  assert.strictEqual(count.rows[0].n, '10');
  await client.end();
  console.log('node-postgres');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
