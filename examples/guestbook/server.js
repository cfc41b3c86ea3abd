// The guestbook. GET / shows the entries, POST /entries adds one (a form or JSON), GET /api/entries is JSON,
// /healthz says that the process lives, /readyz that its store answers.
'use strict';
const express = require('express');
const {openStore} = require('./store');

const TITLE = 'Guestbook';
const port = Number(process.env.PORT || 8080);
const app = express();
const store = openStore();

app.disable('x-powered-by');
app.use(express.urlencoded({extended: false, limit: '16kb'}));
app.use(express.json({limit: '16kb'}));

function escape(text) {
    return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

function page(entries) {
    const items = entries.map((entry) =>
        `<li><b>${escape(entry.author)}</b>: ${escape(entry.message)} <small>${escape(entry.created)}</small></li>`);
    return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${TITLE}</title></head>
<body><h1>${TITLE}</h1>
<form method="post" action="/entries">
<input name="author" placeholder="Your name" required maxlength="80">
<input name="message" placeholder="Your message" required maxlength="500">
<button>Sign</button>
</form>
<ul>
${items.join('\n')}
</ul>
<p>Kept in ${escape(store.kind)}.</p>
</body></html>
`;
}

app.get('/healthz', (request, response) => response.type('text').send('ok\n'));

app.get('/readyz', async (request, response) => {
    try {
        await store.check();
        response.type('text').send('ready\n');
    } catch (error) {
        response.status(503).type('text').send(`not ready: ${error.message}\n`);
    }
});

app.get('/', async (request, response) => response.send(page(await store.list())));

app.get('/api/entries', async (request, response) =>
    response.json({store: store.kind, entries: await store.list()}));

app.post('/entries', async (request, response) => {
    const {author, message} = request.body || {};
    if (typeof author !== 'string' || typeof message !== 'string' || !author.trim() || !message.trim() ||
        author.length > 80 || message.length > 500) {
        response.status(400).json({error: 'author (up to 80 characters) and message (up to 500) are needed'});
        return;
    }
    const entry = await store.add(author.trim(), message.trim());
    if (request.is('json')) {
        response.status(201).json(entry);
    } else {
        response.redirect(303, '/');
    }
});

// Express 4 does not see what async handlers throw; so they all go through here.
for (const layer of app._router.stack) {
    for (const handler of layer.route ? layer.route.stack : []) {
        const handle = handler.handle;
        handler.handle = (request, response, next) =>
            Promise.resolve(handle(request, response, next)).catch(next);
    }
}

app.use((error, request, response, next) => {
    if (response.headersSent) {
        next(error);
        return;
    }
    console.error(`guestbook: ${request.method} ${request.path}: ${error.message}`);
    response.status(error.status || 503).json({error: error.status ? error.message : 'the store does not answer'});
});

const server = app.listen(port, () => console.log(`guestbook: listening on port ${port}, entries in ${store.kind}`));

function end(signal) {
    console.log(`guestbook: ${signal}, finishing`);
    server.close(async () => {
        await store.close();
        process.exit(0);
    });
    server.closeIdleConnections();
}
process.on('SIGTERM', end);
process.on('SIGINT', end);
