package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"kakehashi/internal/fault"
)

// MasterKeyEnv is the environment variable that holds the master key itself,
// in base64. It is a secret and therefore no setting: no file, no flag.
const MasterKeyEnv = "KAKEHASHI_MASTER_KEY"

const masterKeyBytes = 32

// MasterKey reads the 32 bytes that encrypt secrets at rest: from the
// environment, else from MasterKeyFile, which only its owner may read. The
// error is fault.MasterKeyMissing, MasterKeyInvalid or MasterKeyOpen.
func (s Settings) MasterKey(env func(string) (string, bool)) ([]byte, error) {
	if env != nil {
		if v, ok := env(MasterKeyEnv); ok {
			return decodeKey(v, MasterKeyEnv)
		}
	}
	f, err := os.Open(s.MasterKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.MasterKeyMissing.At(s.MasterKeyFile).Because(err)
	}
	if err != nil {
		return nil, fault.CannotRead.At(s.MasterKeyFile, "reason", reason(err)).Because(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fault.CannotRead.At(s.MasterKeyFile, "reason", reason(err)).Because(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fault.MasterKeyOpen.At(s.MasterKeyFile)
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, fault.CannotRead.At(s.MasterKeyFile, "reason", reason(err)).Because(err)
	}
	return decodeKey(string(b), s.MasterKeyFile)
}

func decodeKey(text, place string) ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != masterKeyBytes {
		return nil, fault.MasterKeyInvalid.At(place)
	}
	return key, nil
}

// NewMasterKey makes a key from random, in the form that MasterKey reads.
func NewMasterKey(random io.Reader) (string, error) {
	key := make([]byte, masterKeyBytes)
	if _, err := io.ReadFull(random, key); err != nil {
		return "", fmt.Errorf("read random bytes for the master key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(key) + "\n", nil
}

// DecisionWebhookKey reads the key that signs what the webhook is asked.
func (s Settings) DecisionWebhookKey() ([]byte, error) {
	f, err := os.Open(s.DecisionWebhookKeyFile)
	if err != nil {
		return nil, fault.SettingWebhookKey.At(s.DecisionWebhookKeyFile, "name", "decision_webhook_key_file", "value", s.DecisionWebhookKeyFile).Because(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	key := strings.TrimSpace(string(b))
	if err != nil || len(key) < 32 {
		return nil, fault.SettingWebhookKey.At(s.DecisionWebhookKeyFile, "name", "decision_webhook_key_file", "value", s.DecisionWebhookKeyFile).Because(err)
	}
	return []byte(key), nil
}
