#!/bin/sh
# Make the folders of a class server, as root: prepare.sh <instructor> [<folder, /srv/llm-course if not given>]
# Running it again changes nothing but the settings, which it brings up to date.
set -eu
[ "$(id -u)" = 0 ] || { echo "prepare.sh makes folders for other users: run it as root."; exit 1; }
[ $# -ge 1 ] || { echo "Name the instructor: prepare.sh <instructor> [<folder>]"; exit 1; }
id "$1" >/dev/null 2>&1 || { echo "There is no user $1: make the accounts first (README.md, step 2)."; exit 1; }
instructor=$1
server=${2:-/srv/llm-course}
here=$(cd "$(dirname "$0")" && pwd)

install -d -m 755 "$server" "$server/settings"
install -d -m 700 "$server/hub"
cp -R "$here/student" "$here/instructor" "$server/settings/"
chmod -R u=rwX,go=rX "$server/settings"

# The exchange is the instructor's. nbgrader wants its top folder open to all; the sticky bit keeps anyone from moving
# another's entries away. Students may put folders into inbound but not list it, and read feedback only by its name.
install -d -m 1777 -o "$instructor" "$server/exchange"
install -d -m 755 -o "$instructor" "$server/exchange/llm" "$server/exchange/llm/outbound"
install -d -m 3733 -o "$instructor" "$server/exchange/llm/inbound"
install -d -m 711 -o "$instructor" "$server/exchange/llm/feedback"
echo "The folders of the class server are ready in $server."
