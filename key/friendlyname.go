package key

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
)

// nameKey gives the key in a PKCS#12 file that the library has made its
// friendlyName, which the library cannot: Java and integration suites take it
// for the alias. The file has its bags with the key last, outside the
// encryption, and a MAC by HMAC-SHA-256. Name and passphrase are ASCII.
func nameKey(der []byte, name string, passphrase []byte) ([]byte, error) {
	var file pfx
	var safes []safe
	var content []byte
	var bags []bag
	if _, err := asn1.Unmarshal(der, &file); err != nil {
		return nil, fmt.Errorf("naming the key: %w", err)
	}
	if _, err := asn1.Unmarshal(file.Safes.Content, &safes); err != nil || len(safes) == 0 {
		return nil, errors.New("naming the key: no safe")
	}
	last := &safes[len(safes)-1]
	if _, err := asn1.Unmarshal(last.Content.Bytes, &content); err != nil {
		return nil, fmt.Errorf("naming the key: %w", err)
	}
	if _, err := asn1.Unmarshal(content, &bags); err != nil || len(bags) != 1 {
		return nil, errors.New("naming the key: no bag of its own")
	}
	value := encode(asn1.RawValue{Tag: asn1.TagBMPString, Bytes: bmp([]byte(name))})
	bags[0].Attributes = append(bags[0].Attributes, attribute{oidFriendlyName, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: value}})
	last.Content = asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: encode(encode(bags))}
	file.Safes.Content = encode(safes)
	mac := hmac.New(sha256.New, macKey(passphrase, file.MAC.Salt, file.MAC.Iterations))
	mac.Write(file.Safes.Content)
	file.MAC.Digest.Digest = mac.Sum(nil)
	return encode(file), nil
}

// encode returns the DER of what came from DER, which always has one.
func encode(value any) []byte {
	der, err := asn1.Marshal(value)
	if err != nil {
		panic(err)
	}
	return der
}

// bmp returns ASCII as a BMPString has it, two bytes a character.
func bmp(ascii []byte) []byte {
	var text []byte
	for _, c := range ascii {
		text = append(text, 0, c)
	}
	return text
}

// macKey derives the key of an HMAC-SHA-256 from a passphrase (RFC 7292
// appendix B.2, of which one round is enough for 32 bytes).
func macKey(passphrase, salt []byte, iterations int64) []byte {
	const purpose, block = 3, sha256.BlockSize // 3 stands for a MAC
	var input []byte
	for range block {
		input = append(input, purpose)
	}
	input = append(input, repeated(salt, block)...)
	input = append(input, repeated(append(bmp(passphrase), 0, 0), block)...)
	key := sha256.Sum256(input)
	for range iterations - 1 {
		key = sha256.Sum256(key[:])
	}
	return key[:]
}

// repeated repeats text up to the next multiple of block, cutting the last.
func repeated(text []byte, block int) []byte {
	size := (len(text) + block - 1) / block * block
	var out []byte
	for len(out) < size {
		out = append(out, text...)
	}
	return out[:size]
}
