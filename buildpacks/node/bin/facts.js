// What bin/build must know of package.json, as shell assignments on standard output; and launch.toml.
'use strict';
const fs = require('fs');
const crypto = require('crypto');

function fail(text) {
    console.error(text);
    process.exit(1);
}

function read(name) {
    try {
        return fs.readFileSync(name, 'utf8');
    } catch {
        return '';
    }
}

let app;
try {
    app = JSON.parse(read('package.json'));
} catch (error) {
    fail(`package.json: ${error.message}`);
}
const scripts = app.scripts || {};
const lock = ['npm-shrinkwrap.json', 'package-lock.json'].find((name) => fs.existsSync(name)) || '';

// What node_modules depends on, and nothing else: another script or version of the app changes nothing there.
const hash = crypto.createHash('sha256');
for (const part of [process.version, process.arch, read(lock || '/nonexistent'), read('.npmrc'),
    JSON.stringify([app.dependencies, app.devDependencies, app.optionalDependencies, app.overrides,
        app.workspaces, scripts.preinstall, scripts.install, scripts.postinstall, scripts.prepare])]) {
    hash.update(`${part.length} ${part}`);
}

const groups = [app.dependencies, app.devDependencies, app.optionalDependencies];
const hasDependencies = groups.some((group) => group && Object.keys(group).length > 0);

// A command line without a shell's signs; the run image has no shell.
function words(line, from) {
    if (/["'`$&|;<>()*?\\#~]/.test(line) || /^\w+=/.test(line.trim())) {
        fail(`${from}: '${line}' needs a shell, and the run image has none. ` +
            "Write a Procfile with a plain command, such as 'web: node server.js'; variables belong in the workload's env.");
    }
    const list = line.trim().split(/\s+/);
    if (list[0] !== 'node' && !list[0].includes('/') && fs.existsSync(`node_modules/.bin/${list[0]}`)) {
        return ['node', `node_modules/.bin/${list[0]}`, ...list.slice(1)];
    }
    return list;
}

function processes() {
    const found = {};
    for (const line of read('Procfile').split('\n')) {
        const match = /^([A-Za-z0-9._-]+):\s*(\S.*)$/.exec(line);
        if (match) {
            found[match[1]] = words(match[2], 'Procfile');
        }
    }
    if (found.web) {
        return found;
    }
    const main = [app.main, 'server.js', 'index.js', 'app.js'].find((name) => name && fs.existsSync(name));
    if (scripts.start) {
        found.web = words(scripts.start, 'package.json: scripts.start');
    } else if (main) {
        found.web = ['node', main];
    } else if (Object.keys(found).length === 0) {
        fail("nothing says how to start this app: add scripts.start to package.json, or a Procfile with 'web: COMMAND'");
    }
    return found;
}

let toml = '';
for (const [type, command] of Object.entries(processes())) {
    toml += `[[processes]]\ntype = ${JSON.stringify(type)}\ncommand = ${JSON.stringify(command)}\n`;
    toml += type === 'web' ? 'default = true\n\n' : '\n';
}
fs.writeFileSync(process.argv[2], toml);

console.log(`key=${hash.digest('hex')}`);
console.log(`lock=${lock}`);
console.log(`has_dependencies=${hasDependencies ? 'yes' : 'no'}`);
console.log(`has_build=${scripts.build ? 'yes' : 'no'}`);
