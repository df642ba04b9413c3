package config

import (
	"errors"
	"fmt"
	"net"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/holdfastq/holdfast"
)

// What is wrong with single values: each says what to write instead.

func checkQueue(s string) error {
	if holdfast.CheckQueueName(s) != nil {
		return fmt.Errorf("a queue's name is 1 to %d letters, digits and . _ : -", holdfast.MaxQueueName)
	}
	return nil
}

func checkStore(s string) error {
	scheme, _, is := strings.Cut(s, "://")
	const hint = "write a file, postgres://user@host/db or http://host:8000"
	switch {
	case !is:
		return checkFile(s)
	case slices.Contains([]string{"postgres", "postgresql", "http", "https"}, scheme):
		return visible(s)
	case !workerName.MatchString(scheme):
		return errors.New(hint)
	}
	return fmt.Errorf("no store is known by %s://; %s", scheme, hint)
}

func checkFile(s string) error {
	if s == "~" || strings.HasPrefix(s, "~/") {
		return errors.New("~ means nothing here; write the whole path")
	}
	return visible(s)
}

// visible refuses what nobody types on purpose.
func visible(s string) error {
	if strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return errors.New("it has control characters")
	}
	return nil
}

func checkMachine(s string) error {
	if utf8.RuneCountInString(s) > 128 {
		return errors.New("at most 128 characters are allowed")
	}
	return visible(s)
}

func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.Atoi(port)
	switch {
	case err != nil && regexp.MustCompile(`^[0-9]+$`).MatchString(s):
		return fmt.Errorf("write 127.0.0.1:%s", s)
	case err != nil || bad != nil || n < 0 || n > 65535:
		return errors.New("write an address and a port, like 127.0.0.1:8000")
	case strings.ContainsAny(host, " /@"):
		return errors.New("the part before the port is a name or a number of this machine")
	}
	return nil
}

// loopback says whether only this machine reaches an address.
func loopback(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return host == "localhost"
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)

func checkHost(s string) error {
	if hostName.MatchString(s) || net.ParseIP(strings.Trim(s, "[]")) != nil {
		return nil
	}
	return errors.New("write the name alone, like jobs.example.org")
}

func checkConfigDir(s string) error {
	if !filepath.IsAbs(s) {
		return errors.New("write an absolute path")
	}
	return visible(s)
}

func checkDir(s string) error {
	clean := path.Clean(s)
	switch {
	case visible(s) != nil:
		return visible(s)
	case s == ".":
		return nil
	case path.IsAbs(s) || filepath.IsAbs(s):
		return errors.New("write a folder below general.primary_path, not an absolute one")
	case !filepath.IsLocal(filepath.FromSlash(s)):
		return errors.New("write a folder below general.primary_path; this leads outside")
	case clean != s:
		return fmt.Errorf("write %s", element(clean))
	case len(s) > 200:
		return errors.New("at most 200 bytes are allowed")
	}
	for part := range strings.SplitSeq(s, "/") {
		if strings.HasPrefix(part, ".") || strings.HasPrefix(part, "holdfast.") {
			return errors.New("dot files and holdfast.* are never jobs; take another folder")
		}
	}
	return nil
}

func checkPattern(s string) error {
	if _, err := path.Match(s, "x"); err != nil {
		return errors.New(`write a pattern like "*.png"; * is any text, ? one character, [ab] one of these`)
	}
	return visible(s)
}

func checkArgument(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("no argument of a command can have a zero byte")
	}
	return nil
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func checkVariable(s string) error {
	name, _, is := strings.Cut(s, "=")
	switch {
	case is && variable.MatchString(name):
		return fmt.Errorf("write the name alone, %s; the value is that of serve's environment", name)
	case !variable.MatchString(s):
		return errors.New("a variable's name is letters, digits and _")
	case strings.HasPrefix(s, prefix):
		return errors.New("variables of this prefix are set by Holdfast itself")
	}
	return nil
}

var workerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func checkWorkerName(s string) error {
	switch {
	case s == "":
		return errors.New("a worker needs a name")
	case !workerName.MatchString(s):
		return fmt.Errorf("worker %s: a worker's name is 1 to 64 letters, digits and . _ -, with a letter or digit first", quoted(s))
	case s == "manager" || s == "cleaner" || s == "all":
		return fmt.Errorf("worker %s: that name means something else already; take another", s)
	}
	return nil
}
