# Prints the tree below the working folder, NUL-separated: type, mode, uid, gid, mtime (s), link
# target and path of each entry, then "sha256" and the sums of all files.
set -eu
find . -printf '%y\0%m\0%U\0%G\0%T@\0%l\0%P\0'
printf 'sha256\0'
find . -type f -print0 | sort -z | xargs -0r sha256sum --zero
