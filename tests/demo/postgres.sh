# tests/demo/postgres.sh - a PostgreSQL outside all clusters: the stand-in for a managed database such as RDS.
# Sourced by the demo and the end-to-end tests.

postgres_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)

# postgres_as COMMAND… : as the user postgres, which the server insists on.
postgres_as() ( cd / && exec setpriv --reuid postgres --regid postgres --clear-groups -- "$@" )

# postgres_start DIR NETNS ADDRESS : makes a server in DIR that listens on ADDRESS in that network namespace.
# Sets postgres_pid, and waits until it answers.
postgres_start() {
	postgres_dir=$1 postgres_netns=$2 postgres_address=$3
	install -d -o postgres -g postgres "$postgres_dir" || return
	postgres_as "$postgres_bin/initdb" -D "$postgres_dir/data" --auth-local=trust --auth-host=scram-sha-256 \
		--no-sync --locale=C.UTF-8 > "$postgres_dir/initdb.log" 2>&1 || { cat "$postgres_dir/initdb.log"; return 1; }
	echo "host all all 0.0.0.0/0 scram-sha-256" >> "$postgres_dir/data/pg_hba.conf"
	nsenter --net="$postgres_netns" setpriv --reuid postgres --regid postgres --clear-groups -- \
		"$postgres_bin/postgres" -D "$postgres_dir/data" -c listen_addresses="$postgres_address" -c port=5432 \
		-c unix_socket_directories="$postgres_dir" -c max_connections=40 -c shared_buffers=16MB \
		> "$postgres_dir/server.log" 2>&1 9>&- &
	postgres_pid=$!
	local turn
	for turn in $(seq 200); do
		postgres_as "$postgres_bin/pg_isready" -q -h "$postgres_dir" && return 0
		kill -0 "$postgres_pid" 2>/dev/null || break
		read -rt 0.05 <> <(:) || true
	done
	tail -5 "$postgres_dir/server.log"
	return 1
}

# postgres_sql DATABASE SQL : as the server's owner; prints rows without decoration.
postgres_sql() { postgres_as psql -X -q -At -v ON_ERROR_STOP=1 -h "$postgres_dir" -d "$1" -c "$2"; }

# postgres_database NAME PASSWORD : a database, and a user of the same name who owns it.
postgres_database() {
	postgres_sql postgres "create role \"$1\" login password '$2'" &&
		postgres_sql postgres "create database \"$1\" owner \"$1\""
}

postgres_stop() {
	[ -n "${postgres_pid:-}" ] || return 0
	kill -INT "$postgres_pid" 2>/dev/null
	wait "$postgres_pid" 2>/dev/null
	postgres_pid=
}
