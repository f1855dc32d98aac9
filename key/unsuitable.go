package key

import "errors"

// ErrUnsuitable is what [Parse] says of content that no setting makes a key for
// Salesforce of: it holds no private key, or one that is too short or not RSA.
// The errors that are it say more.
var ErrUnsuitable = errors.New("this is no private key that Salesforce takes")

// unsuitable is the text of an error that is ErrUnsuitable.
type unsuitable string

func (u unsuitable) Error() string { return string(u) }

func (unsuitable) Is(target error) bool { return target == ErrUnsuitable }
