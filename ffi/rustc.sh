#!/bin/sh
# rustc as cargo calls it for the crates of this workspace (.cargo/config.toml), with one step more: where rustc has
# written the archive libstandstill.a with link-time optimisation, the archive becomes one object with our names only.
#
# As rustc writes it, the archive also holds the 300 members of compiler_builtins, which refer to rust_eh_personality (a
# link with --whole-archive fails), and a dozen names of our own that no user should see or clash with. What our object
# needs of them every C compiler's own library has.
#
# Names that stay: ffi/exports.txt. Tools: $OBJCOPY and $AR, else those of the target, of the machine, of LLVM.
set -eu
"$@" || exit

crate="" kind="" lto="" out="" target="" strip=""
previous=""
for word in "$@"; do
  case "$previous $word" in
    "--crate-name "*) crate=$word ;;
    "--crate-type staticlib") kind=staticlib ;;
    "--out-dir "*) out=$word ;;
    "--target "*) target=$word ;;
    "-C lto=fat") lto=fat ;;
    "-C strip=none") strip="" ;;
    "-C strip="*) strip=--strip-debug ;;
  esac
  previous=$word
done
[ "$crate $kind $lto" = "standstill staticlib fat" ] || exit 0

here=$(CDPATH="" cd "$(dirname "$0")" && pwd)
# x86_64-unknown-linux-gnu is x86_64-linux-gnu to binutils.
triple=$(echo "$target" | sed 's/-unknown-/-/')
tool() { # the first of these commands that there is
  for name in "$@"; do
    if command -v "$name" >/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "libstandstill.a: none of these commands is there: $*. Install binutils or name one in OBJCOPY and AR" >&2
  exit 1
}
native=objcopy
[ -z "$target" ] || native="$triple-objcopy llvm-objcopy rust-objcopy objcopy"
# shellcheck disable=SC2086 # a list of words
objcopy=$(tool ${OBJCOPY:-$native llvm-objcopy})
# shellcheck disable=SC2086
ar=$(tool ${AR:-ar llvm-ar})

archive=$out/libstandstill.a
work=$(mktemp -d "$out/one-object.XXXXXX")
trap 'rm -rf "$work"' EXIT
member=$("$ar" t "$archive" | grep '^standstill\.') || member=""
if [ "$(echo "$member" | grep -c .)" != 1 ]; then
  echo "libstandstill.a: one object of our own was expected, these are there: $member" >&2
  exit 1
fi
(cd "$work" && "$ar" x "$archive" "$member")
sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$here/exports.txt" >"$work/names"
"$objcopy" $strip --keep-global-symbols="$work/names" "$work/$member" "$work/standstill.o"
"$ar" rcsD "$work/libstandstill.a" "$work/standstill.o"
mv "$work/libstandstill.a" "$archive"
