# needs: gpg gpgconf
# Keys (in memory that may not be swapped), an agent as daemon, signing, encryption.
. "$LIB"
export GNUPGHOME=$TMPDIR/g; mkdir -m 700 "$GNUPGHOME"; g() { gpg -q --batch --no-tty --pinentry-mode loopback --passphrase '' "$@" 2>/dev/null; }
words 300 >text; g --quick-gen-key 'A <a@b>' ed25519 sign never; g --quick-gen-key 'C <c@d>' ed25519 cert never; fpr=$(g --list-keys --with-colons c@d | awk -F: '$1 == "fpr" { print $10 }' | sed -n 1p); g --quick-add-key "$fpr" cv25519 encr never
g -u a@b --detach-sign text; g --verify text.sig text && echo good; echo x >>text; g --verify text.sig text || echo bad
g --trust-model always -r c@d -e -o enc text; g -d enc | cmp - text && echo same; g --passphrase p -c --cipher-algo AES256 -o sym text; g --passphrase p -d sym | cmp - text && echo same; g --list-keys --with-colons | grep -c '^pub'; g --export -a a@b | wc -l; gpg --print-md SHA256 <text | tr -d ' \n'; echo
gpgconf --kill all; echo killed
