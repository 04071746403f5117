package httpclient

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// isPKCS12 reports whether a file is a PKCS #12 file (RFC 7292), which has a certificate and its key. It looks at the file's extension.
func isPKCS12(path string) bool {
	extension := strings.ToLower(filepath.Ext(path))
	return extension == ".p12" || extension == ".pfx"
}

// isEncrypted reports whether a PEM file has an encrypted private key: PKCS #8 (RFC 5958), or the older format with headers (RFC 1421).
func isEncrypted(file []byte) bool {
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if isEncryptedBlock(block) {
			return true
		}
	}
	return false
}

func isEncryptedBlock(block *pem.Block) bool {
	return block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
}

var errPassphrase = errors.New("the passphrase is wrong, or the file is damaged")

// decryptKey decrypts the first encrypted private key of a PEM file and returns it as PEM.
func decryptKey(file []byte, passphrase string) ([]byte, error) {
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case !isEncryptedBlock(block):
		case block.Type == "ENCRYPTED PRIVATE KEY":
			key, _, err := pkcs8.ParsePrivateKey(block.Bytes, []byte(passphrase))
			if err != nil {
				return nil, errPassphrase
			}
			return privatePEM(key)
		default:
			//lint:ignore SA1019 the form is old, and so are devices
			der, err := x509.DecryptPEMBlock(block, []byte(passphrase))
			if err != nil || !isKey(der) { // about one of 256 wrong passphrases gives no error but random bytes
				return nil, errPassphrase
			}
			return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
		}
	}
	return file, nil
}

func isKey(der []byte) bool {
	_, rsa := x509.ParsePKCS1PrivateKey(der)
	_, ec := x509.ParseECPrivateKey(der)
	_, other := x509.ParsePKCS8PrivateKey(der)
	return rsa == nil || ec == nil || other == nil
}

// splitPKCS12 returns the certificates and the private key of a PKCS #12 file in PEM.
func splitPKCS12(file []byte, passphrase string) (certificates, key []byte, err error) {
	private, leaf, more, err := pkcs12.DecodeChain(file, passphrase)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, nil, errPassphrase
	case err != nil:
		return nil, nil, errors.New("want a PKCS #12 file with one certificate and its key: " + strings.TrimPrefix(err.Error(), "pkcs12: "))
	}
	for _, c := range append([]*x509.Certificate{leaf}, more...) {
		certificates = append(certificates, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	key, err = privatePEM(private)
	return certificates, key, err
}

func privatePEM(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("the type of the private key is not supported")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
