// Package floors holds the import rules of the architecture, as a test. Every package of the module stands on a floor;
// imports point down:
//
//	5  the programs, the demo, fuzzing, whole-system tests
//	3  the libraries, which never import each other
//	2  parts of one library
//	1  mechanisms
//	0  formats and the seam, which import nothing of the module
//
// (Floor 4 is for heavy options that a program chooses; none is built yet.) The test fails on any arrow that points up or
// sideways, on heavy dependencies where they do not belong, and on a package that has no floor: a new package is placed in
// the table on purpose or not at all.
package floors
