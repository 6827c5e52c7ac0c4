// node-postgres: rows, prepared statements, transactions, errors.
const assert = require('assert');
const { Client } = require('pg');

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
  const gone = await client.query('DELETE FROM node_t');
  assert.strictEqual(gone.rowCount, 10);
  await client.query('ROLLBACK');
  await assert.rejects(client.query('INSERT INTO node_t (id) VALUES (1)'), { code: '23505' });
  await assert.rejects(client.query('SELECT nope'), { code: '42703', position: '8' });
  const count = await client.query('SELECT count(*) AS n FROM node_t');
  assert.strictEqual(count.rows[0].n, '10');
  await client.end();
  console.log('node-postgres');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
