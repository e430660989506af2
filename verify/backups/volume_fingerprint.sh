# Prints the tree below the working folder, NUL-separated: type, mode, uid, gid, mtime (s), link
# target and path of each entry, then "sha256" and the sums of all files. What vanishes while it is
# read is left out; whatever else cannot be read is an error.
set -eu
export LC_ALL=C
find . -ignore_readdir_race -printf '%y\0%m\0%U\0%G\0%T@\0%l\0%P\0'
printf 'sha256\0'
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
find . -ignore_readdir_race -type f -print0 | sort -z |
    xargs -0r sha256sum --zero 2>"$errors" || [ -s "$errors" ]
if grep -v ': No such file or directory$' "$errors" >&2; then exit 1; fi
