// Package interop holds the tests of our programs beside those of others: real tor, deployed Snowflake programs, nginx as a
// front, NATs of the Linux kernel. The other programs come from Debian; `make setup` installs them. Where one is missing a
// test is skipped, but never when the environment variable CI is set.
package interop
