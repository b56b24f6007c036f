// Package webext tests the volunteer's browser, extension and badge, in headless Chromium and Firefox: with our broker, server and
// client (package test/stage) between them and a web site, and against brokers and relays that mean ill. A test clicks as a
// volunteer would, in the popup shown as a tab. The browsers talk to loopback only.
package webext
