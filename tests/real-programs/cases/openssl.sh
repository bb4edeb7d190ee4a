# needs: openssl
# Keys, signatures, certificates, encryption and digests; what is random is only verified.
. "$LIB"
words 2000 >text
openssl genrsa -out k.pem 2048 2>/dev/null; openssl rsa -in k.pem -pubout -out p.pem 2>/dev/null
openssl dgst -sha256 -sign k.pem -out sig text; openssl dgst -sha256 -verify p.pem -signature sig text
openssl ecparam -name prime256v1 -genkey -noout -out ec.pem; openssl req -x509 -new -key ec.pem -subj /CN=localhost -days 2 -out c.pem 2>/dev/null; openssl x509 -in c.pem -noout -subject; openssl verify -CAfile c.pem c.pem
openssl genpkey -algorithm ED25519 -out ed.pem; openssl pkey -in ed.pem -noout -text | grep -c priv
openssl enc -aes-256-cbc -pbkdf2 -k secret -in text -out enc; openssl enc -d -aes-256-cbc -pbkdf2 -k secret -in enc | cmp - text && echo same
for d in md5 sha1 sha512 sha3-256 blake2b512; do openssl dgst -"$d" -r text; done
openssl cms -sign -binary -nodetach -in text -signer c.pem -inkey ec.pem -outform PEM -out cms 2>/dev/null; openssl cms -verify -binary -in cms -inform PEM -CAfile c.pem -purpose any 2>/dev/null | cmp - text && echo verified
openssl prime -generate -bits 64 | wc -l; openssl asn1parse -in c.pem | wc -l; openssl speed -seconds 1 -bytes 64 sha256 2>/dev/null | grep -c sha256
set +e; openssl x509 -in text 2>/dev/null; echo "status $?"
exit 0
