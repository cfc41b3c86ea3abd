// Where entries are kept: in PostgreSQL if a service binding says so (servicebinding.io: a folder for each binding
// under $SERVICE_BINDING_ROOT, a file for each of type, host, port, database, username, password), else in memory.
'use strict';
const fs = require('fs');
const path = require('path');

const SHOWN_MAX = 100;

function readBinding(folder) {
    const binding = {};
    for (const name of fs.readdirSync(folder)) {
        const file = path.join(folder, name);
        if (!name.startsWith('.') && fs.statSync(file).isFile()) {
            binding[name] = fs.readFileSync(file, 'utf8').trim();
        }
    }
    return binding;
}

function findBinding(type) {
    const root = process.env.SERVICE_BINDING_ROOT;
    if (!root || !fs.existsSync(root)) {
        return null;
    }
    for (const name of fs.readdirSync(root).sort()) {
        const folder = path.join(root, name);
        if (fs.statSync(folder).isDirectory()) {
            const binding = readBinding(folder);
            if (binding.type === type) {
                return binding;
            }
        }
    }
    return null;
}

function memoryStore() {
    const entries = [];
    return {
        kind: 'memory',
        check: async () => {},
        list: async () => entries.slice(-SHOWN_MAX).reverse(),
        add: async (author, message) => {
            const entry = {id: entries.length + 1, author, message, created: new Date().toISOString()};
            entries.push(entry);
            return entry;
        },
        close: async () => {},
    };
}

function postgresStore(binding) {
    const {Pool} = require('pg');
    const pool = new Pool({
        host: binding.host,
        port: Number(binding.port || 5432),
        database: binding.database,
        user: binding.username,
        password: binding.password,
        max: 5,
        connectionTimeoutMillis: 3000,
        ssl: binding.sslmode && binding.sslmode !== 'disable' ? {rejectUnauthorized: binding.sslmode !== 'require'} : false,
    });
    // An idle connection that breaks is replaced by the next query; without a listener it would end the process.
    pool.on('error', (error) => console.error(`guestbook: database connection: ${error.message}`));

    let table = null;
    function ready() {
        table = table || pool.query(`CREATE TABLE IF NOT EXISTS entries (
            id SERIAL PRIMARY KEY,
            author TEXT NOT NULL,
            message TEXT NOT NULL,
            created TIMESTAMPTZ NOT NULL DEFAULT now())`).catch((error) => {
            table = null;
            // Two replicas may create it at once; the loser finds it there the next time.
            if (error.code !== '23505' && error.code !== '42P07') {
                throw error;
            }
        });
        return table;
    }
    const shape = (row) => ({id: row.id, author: row.author, message: row.message, created: row.created.toISOString()});

    return {
        kind: `PostgreSQL (${binding.database})`,
        check: async () => {
            await ready();
            await pool.query('SELECT 1');
        },
        list: async () => {
            await ready();
            const found = await pool.query('SELECT * FROM entries ORDER BY id DESC LIMIT $1', [SHOWN_MAX]);
            return found.rows.map(shape);
        },
        add: async (author, message) => {
            await ready();
            const added = await pool.query('INSERT INTO entries (author, message) VALUES ($1, $2) RETURNING *',
                [author, message]);
            return shape(added.rows[0]);
        },
        close: () => pool.end(),
    };
}

function openStore() {
    const binding = findBinding('postgresql');
    return binding ? postgresStore(binding) : memoryStore();
}

module.exports = {openStore};
