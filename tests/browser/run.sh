#!/bin/bash
# The HTML reports in a real browser. `tests/browser/run.sh --help` says how.
set -eu

usage() {
    cat <<'END'
usage: tests/browser/run.sh PAGES [SCREENSHOTS]

Opens the pages in the folder PAGES, as `CASTOFF_PAGES=PAGES cargo test --test html_pages` leaves them there, in Chromium: wide
and narrow, light and dark, in print, with and without scripts. Looks at them with axe. Leaves pictures in SCREENSHOTS.
The last line is `N passed, N failed, N skipped`; exit code 1 if anything failed, 3 if nothing could be tried here.

  CASTOFF_CACHE=DIR  where the packages of package-lock.json are kept (default ~/.cache/castoff)
  CHROMIUM=FILE      the browser (default: chromium)
END
}

# Checked against the digests in package-lock.json by npm; fetched once for each of its versions.
packages() {
    local lock folder
    lock=$(sha256sum "$here/package-lock.json" | cut -c 1-12)
    folder=$cache/browser-$lock
    if [ ! -e "$folder/done" ]; then
        echo "fetching the packages of tests/browser/package-lock.json" >&2
        rm -rf "$folder"
        mkdir -p "$folder"
        cp "$here/package.json" "$here/package-lock.json" "$folder/"
        # Nothing of a package is run while it is installed.
        (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund >&2) || return 1
        touch "$folder/done"
    fi
    echo "$folder"
}

cannot() {
    echo "CANNOT RUN HERE: $*"
    exit 3
}

need() {
    command -v "$1" >/dev/null && return 0
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "installing $2" >&2
    { apt-get install -y --no-install-recommends "$2" || { apt-get update && apt-get install -y --no-install-recommends "$2"; }; } >/dev/null 2>&1
    command -v "$1" >/dev/null
}

main() {
    case ${1:-} in
    -h | --help)
        usage
        exit 0
        ;;
    '')
        usage >&2
        exit 64
        ;;
    esac
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    cache=${CASTOFF_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/castoff}
    export DEBIAN_FRONTEND=noninteractive
    need "${CHROMIUM:-chromium}" chromium || cannot "there is no chromium, and it cannot be installed (apt install chromium)"
    need node nodejs || cannot "there is no node, and it cannot be installed (apt install nodejs)"
    need npm npm || cannot "there is no npm, and it cannot be installed (apt install npm)"
    [ "$(node -p 'process.versions.node.split(".")[0] >= 18')" = true ] || cannot "node $(node --version) is too old: 18 or newer is needed"
    local folder
    folder=$(packages) || cannot "the packages of tests/browser/package-lock.json cannot be had (see above)"
    export NODE_PACKAGES=$folder/node_modules CHROMIUM=${CHROMIUM:-$(command -v chromium)}
    exec node "$here/pages.mjs" "$@"
}

main "$@"
