#!/bin/sh
# Install Onnuri from the folder of this file, without a network.
#
#   sh install.sh [TARGET] [public_key=KEY.pub.pem]
#
# TARGET: folder to unpack into; default: onnuri-VERSION beside this folder. Its .venv gets every package.
# public_key: check the signature first (takes openssl). PYTHON=/path/to/python names another Python.
#
# Every file is checked before anything is written. Nothing outside of TARGET is changed, and no root is needed.
set -eu

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

target= public_key=
for word in "$@"; do
  case $word in
    -h | --help)
      while IFS= read -r line; do
        case $line in '#!'*) ;; '#') echo ;; '# '*) printf '%s\n' "${line#??}" ;; *) exit 0 ;; esac
      done < "$0" ;;
    public_key=*) public_key=${word#public_key=}; [ -n "$public_key" ] || fail "public_key= names no file" ;;
    -*) fail "$word is not known; allowed: TARGET, public_key=KEY.pub.pem, --help" ;;
    *) [ -z "$target" ] || fail "two targets: $target and $word; quote a path with blanks"
       target=$word; [ -n "$target" ] || fail "TARGET is empty" ;;
  esac
done

case $0 in */*) folder=${0%/*} ;; *) folder=. ;; esac
folder=$(CDPATH='' cd -- "$folder" && pwd -P)
name=${folder##*/}
[ -f "$folder/SHA256SUMS" ] || fail "$name has no SHA256SUMS: it is unfinished or was not carried over whole"

if [ -n "$public_key" ]; then
  [ -r "$public_key" ] || fail "public_key=$public_key cannot be read"
  [ -f "$folder/SHA256SUMS.sig" ] || fail "$name is not signed: it has no SHA256SUMS.sig"
  command -v openssl > /dev/null || fail "public_key= takes openssl, which is not installed"
  openssl dgst -sha256 -verify "$public_key" -signature "$folder/SHA256SUMS.sig" "$folder/SHA256SUMS" \
    > /dev/null 2>&1 || fail "$name was not signed with the key of $public_key, or SHA256SUMS was changed since"
fi

command -v sha256sum > /dev/null || fail "sha256sum is not installed"
listed='
'
while read -r digest file || [ -n "$digest" ]; do
  [ ${#digest} -eq 64 ] || fail "SHA256SUMS is damaged: '$digest $file' is no hash and file"
  [ -f "$folder/$file" ] || fail "$file is missing from $name"
  listed="$listed$file
"
done < "$folder/SHA256SUMS"
cd "$folder"
for file in * .[!.]* ..?* wheels/* wheels/.[!.]* wheels/..?*; do
  [ -e "$file" ] || [ -L "$file" ] || continue
  case $file in wheels | SHA256SUMS | SHA256SUMS.sig) continue ;; esac
  case $listed in *"
$file
"*) ;; *) fail "$file is in $name, but not in SHA256SUMS" ;; esac
done
printf 'checking %s\n' "$name"
results=$(LC_ALL=C sha256sum -c SHA256SUMS 2> /dev/null) || while read -r line; do
  case $line in *": OK") ;; *) fail "${line%%: FAILED*} was changed or damaged: its hash is not that of SHA256SUMS" ;; esac
done <<EOF
$results
EOF
cd "$OLDPWD"
if [ -z "$public_key" ] && [ -f "$folder/SHA256SUMS.sig" ]; then
  echo "every file is as in SHA256SUMS; its signature is not checked without public_key="
fi

IFS= read -r version < "$folder/PYTHON_VERSION"
python=${PYTHON:-}
if [ -z "$python" ]; then
  for python in "python$version" python3 ''; do
    if [ -n "$python" ] && command -v "$python" > /dev/null; then break; fi
  done
fi
[ -n "$python" ] || fail "Python $version is not installed; name it with PYTHON=/path/to/python$version"
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) || fail "$python does not run"
[ "$found" = "$version" ] ||
  fail "$name is for Python $version, and $python is Python $found; name one with PYTHON=/path/to/python$version"
PYTHONDONTWRITEBYTECODE=1 exec "$python" "$folder/install.py" "$target"
