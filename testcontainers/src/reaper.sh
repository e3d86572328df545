# Removes what a test began, when whoever watches over it is gone, however it went. Outlives its parent.
# Arguments: WATCH KIND TARGET DIRECTORY...
#   WATCH  "pipe": until standard input ends, that is, the parent is gone or lets go. On it a line "keep" ends the reaper
#          with nothing done; any other line is the new TARGET. Else the id of a process: until it is gone.
#   KIND   "process": TARGET is a process group to kill, or "none". "container": TARGET is a container to remove.
trap '' HUP INT TERM
watch=$1 kind=$2 target=$3
shift 3

if [ "$watch" = pipe ]; then
    while read -r line; do
        [ "$line" != keep ] || exit 0
        target=$line
    done
else
    while kill -0 "$watch" 2>/dev/null; do sleep 0.2; done
fi

remove_container() {
    if command -v docker >/dev/null 2>&1; then
        docker rm --force --volumes "$target"
        return
    fi
    resource="containers/$target?force=true&v=true"
    case ${DOCKER_HOST:=unix:///var/run/docker.sock} in
        unix://*) curl -sf -m 20 -X DELETE --unix-socket "${DOCKER_HOST#unix://}" "http://localhost/$resource" ;;
        *) curl -sf -m 20 -X DELETE "http://${DOCKER_HOST#*://}/$resource" ;;
    esac
}

tries=0
if [ "$kind" = container ]; then
    # Again when it fails: the daemon may still be making it.
    until remove_container >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 4 ] || break
        sleep 1
    done
elif [ "$target" != none ]; then
    kill -9 "-$target" 2>/dev/null
fi

# Again when it fails: what was killed may still be writing.
tries=0
for directory; do
    until rm -rf "$directory" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || exit 1
        sleep 0.05
    done
done
