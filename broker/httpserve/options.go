package httpserve

import (
	"errors"
	"flag"
	"strings"
)

// Options says where to listen and which certificate to show. Exactly one of
// ACMEHostnames, CertFile with KeyFile, and DisableTLS must be given.
type Options struct {
	Addr string // host:port to listen on

	ACMEHostnames string // comma-separated names to get certificates for
	ACMEEmail     string // contact for the certificate authority; may be empty
	ACMECertCache string // directory that keeps account and certificates

	CertFile, KeyFile string // PEM files

	DisableTLS bool // serve plain HTTP
}

// RegisterFlags defines the flags of wire specification, sections 10.6 and
// 10.7, that fill o. addr is the default of -addr.
func (o *Options) RegisterFlags(fs *flag.FlagSet, addr string) {
	fs.StringVar(&o.Addr, "addr", addr, "`address` to listen on")
	fs.StringVar(&o.ACMEHostnames, "acme-hostnames", "", "comma-separated host `names` to get TLS certificates for by ACME")
	fs.StringVar(&o.ACMEEmail, "acme-email", "", "contact `address` for the ACME authority")
	fs.StringVar(&o.ACMECertCache, "acme-cert-cache", "acme-cert-cache", "`directory` that keeps ACME certificates")
	fs.StringVar(&o.CertFile, "cert", "", "TLS certificate `file` (PEM)")
	fs.StringVar(&o.KeyFile, "key", "", "TLS private key `file` (PEM)")
	fs.BoolVar(&o.DisableTLS, "disable-tls", false, "serve plain HTTP")
}

// Validate reports what is missing or contradicts itself.
func (o *Options) Validate() error {
	acme, files := len(o.hostnames()) > 0, o.CertFile != "" || o.KeyFile != ""
	chosen := 0
	for _, c := range []bool{acme, files, o.DisableTLS} {
		if c {
			chosen++
		}
	}
	switch {
	case files && (o.CertFile == "" || o.KeyFile == ""):
		return errors.New("-cert and -key go together")
	case chosen == 0:
		return errors.New("one of -acme-hostnames, -cert with -key, and -disable-tls is required")
	case chosen > 1:
		return errors.New("only one of -acme-hostnames, -cert with -key, and -disable-tls may be given")
	case acme && o.ACMECertCache == "":
		return errors.New("-acme-hostnames needs -acme-cert-cache")
	}
	return nil
}

// hostnames splits ACMEHostnames.
func (o *Options) hostnames() []string {
	var names []string
	for name := range strings.SplitSeq(o.ACMEHostnames, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
