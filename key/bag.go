package key

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strconv"
)

// The parts of a PKCS#12 file (RFC 7292 section 4 and appendix D) that are read
// before the library has it: to know what opening it costs, and to name its
// keys, which are mostly outside the encryption, though each is encrypted.
type (
	pfx struct {
		Version int
		Safes   struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}
		MAC struct {
			Digest struct {
				Algorithm pkix.AlgorithmIdentifier
				Digest    []byte
			}
			Salt       []byte
			Iterations int64 `asn1:"optional,default:1"`
		} `asn1:"optional"`
	}
	safe struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	encryptedSafe struct {
		Version int
		Content struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
		}
	}
	bag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue `asn1:"explicit,tag:0"`
		Attributes []attribute   `asn1:"set,optional"`
	}
	attribute struct {
		ID     asn1.ObjectIdentifier
		Values asn1.RawValue `asn1:"set"`
	}
)

var (
	oidEncryptedSafe = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidPBMAC1        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	oidKeyBag        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidEncryptedBag  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidFriendlyName  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
)

// readBags returns the keys in a PKCS#12 file that are outside the encryption
// of a safe, in order; or an error if the file costs too much to open.
func readBags(der []byte) ([]entry, error) {
	var file pfx
	var safes []safe
	if _, err := asn1.Unmarshal(der, &file); err != nil {
		return nil, unreadable(err.Error())
	}
	if _, err := asn1.Unmarshal(file.Safes.Content, &safes); err != nil {
		return nil, unreadable(err.Error())
	}
	total, err := file.cost()
	if err != nil {
		return nil, err
	}
	var keys []entry
	for _, s := range safes {
		found, cost, err := s.keys()
		if err != nil {
			return nil, err
		}
		keys, total = append(keys, found...), total+cost
	}
	if total > maxCost {
		return nil, errCost
	}
	nameUnnamed(keys)
	return keys, nil
}

// cost is that of checking the MAC.
func (p *pfx) cost() (int64, error) {
	algorithm := p.MAC.Digest.Algorithm
	if algorithm.Algorithm.Equal(oidPBMAC1) {
		return cost(algorithm)
	}
	return within(maxCost, p.MAC.Iterations)
}

// keys returns the keys in a safe, and what it costs to open them and the safe.
func (s *safe) keys() (keys []entry, total int64, err error) {
	if s.Type.Equal(oidEncryptedSafe) {
		var encrypted encryptedSafe
		if _, err := asn1.Unmarshal(s.Content.Bytes, &encrypted); err != nil {
			return nil, 0, unreadable(err.Error())
		}
		total, err = cost(encrypted.Content.Algorithm)
		return nil, total, err
	}
	var content []byte
	var bags []bag
	if _, err := asn1.Unmarshal(s.Content.Bytes, &content); err != nil {
		return nil, 0, unreadable(err.Error())
	}
	if _, err := asn1.Unmarshal(content, &bags); err != nil {
		return nil, 0, unreadable(err.Error())
	}
	for _, b := range bags {
		if b.ID.Equal(oidEncryptedBag) {
			var info encryptedKey
			if _, err := asn1.Unmarshal(b.Value.Bytes, &info); err != nil {
				return nil, 0, unreadable(err.Error())
			}
			cost, err := cost(info.Algorithm)
			if err != nil {
				return nil, 0, err
			}
			total += cost
		} else if !b.ID.Equal(oidKeyBag) {
			continue
		}
		if len(b.Value.Bytes) > maxDER {
			return nil, 0, errSize
		}
		keys = append(keys, entry{alias: b.friendlyName(), key: b.Value.Bytes})
	}
	return keys, total, nil
}

// friendlyName returns the name of a bag, or "".
func (b *bag) friendlyName() (name string) {
	for _, a := range b.Attributes {
		if a.ID.Equal(oidFriendlyName) {
			asn1.Unmarshal(a.Values.Bytes, &name) // what is no text is no name
		}
	}
	return name
}

// nameUnnamed gives keys without a name those that Java gives them: "1", "2".
func nameUnnamed(keys []entry) {
	unnamed := 0
	for i := range keys {
		if keys[i].alias == "" {
			unnamed++
			keys[i].alias = strconv.Itoa(unnamed)
		}
	}
}
