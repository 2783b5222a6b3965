/**
 * Certificates for `proxy.test` and 127.0.0.1 that sign themselves, for a hundred
 * years: of tests alone, their keys are no secret. Made by `openssl req -x509
 * -nodes -days 36500 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj
 * /CN=proxy.test -addext subjectAltName=DNS:proxy.test,IP:127.0.0.1`.
 */

/** A certificate and its key; PEM text. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** What a proxy of tests has. */
export const CERTIFICATE: Certificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgF4eoBoLEuMXkGZqB
d7L3B9w5JqHtDbFCyPL3al7yApehRANCAATkDdq1y47955cQlDNnMNcY/xLk6/U5
WGb/N8VYEhAAwXqKo6nlEsbZEX02DGbX/tv6BetpIoXFoQYBZF3Hy4ur
-----END PRIVATE KEY-----
`,
  certificate: `-----BEGIN CERTIFICATE-----
MIIBnjCCAUSgAwIBAgIUTEJ0jYavAUJmgt0la4CyRAdJFYkwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKcHJveHkudGVzdDAgFw0yNjExMjAxNTIzNThaGA8yMTI2MTAy
NzE1MjM1OFowFTETMBEGA1UEAwwKcHJveHkudGVzdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABOQN2rXLjv3nlxCUM2cw1xj/EuTr9TlYZv83xVgSEADBeoqjqeUS
xtkRfTYMZtf+2/oF62kihcWhBgFkXcfLi6ujcDBuMB0GA1UdDgQWBBQK6Iw38h5/
bUnWoV3POVBfvjGd1jAfBgNVHSMEGDAWgBQK6Iw38h5/bUnWoV3POVBfvjGd1jAP
BgNVHRMBAf8EBTADAQH/MBsGA1UdEQQUMBKCCnByb3h5LnRlc3SHBH8AAAEwCgYI
KoZIzj0EAwIDSAAwRQIgNFD9mkD0F0ERCxq24nf0gseE4yg1Nennz/HtFHo59fQC
IQCVMICgF7+24pkPZKb+Ec1XYXFFt6BqOqrFZsnyAHkt0Q==
-----END CERTIFICATE-----
`,
};

/** The same for another key. */
export const OTHER_CERTIFICATE: Certificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBAvjv+eb8SnVqEnd
40gsxaDJGv/INyNC7NXcEQUVbFyhRANCAAQ8joBforBDf8hqK/4BHYANDXoACyGm
jLSFBfat7q1JvTDJ8uIVQR22jyspeJQeA0rmvCdJkKoNyorbl7FyuYIv
-----END PRIVATE KEY-----
`,
  certificate: `-----BEGIN CERTIFICATE-----
MIIBnzCCAUSgAwIBAgIUJpIsvF3Q9Qcus72eNRfWRM3V4mUwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKcHJveHkudGVzdDAgFw0yNjExMjAxNTIzNThaGA8yMTI2MTAy
NzE1MjM1OFowFTETMBEGA1UEAwwKcHJveHkudGVzdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABDyOgF+isEN/yGor/gEdgA0NegALIaaMtIUF9q3urUm9MMny4hVB
HbaPKyl4lB4DSua8J0mQqg3KituXsXK5gi+jcDBuMB0GA1UdDgQWBBS7Q8ZsmYdP
tJuFrJhcc7bn0CUIEjAfBgNVHSMEGDAWgBS7Q8ZsmYdPtJuFrJhcc7bn0CUIEjAP
BgNVHRMBAf8EBTADAQH/MBsGA1UdEQQUMBKCCnByb3h5LnRlc3SHBH8AAAEwCgYI
KoZIzj0EAwIDSQAwRgIhAOfV6I/lga7Cb2d9x3KnQL5tzYY6k7hKCDw06V6a1XDO
AiEAwihEFLfgiFdAD9BY0eNBeQHZdoRXCvJ8JGbBVK657wo=
-----END CERTIFICATE-----
`,
};
