package floors

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A pkg is what the rules look at. Paths of packages of the module are relative to it and start with "./"; others are
// import paths.
type pkg struct {
	imports     []string
	testImports []string // of the tests inside and beside the package
	deps        []string // all it reaches, tests excluded
}

const inModule = "./"

// violations applies every rule to the packages of the module, by path without "./".
func violations(pkgs map[string]pkg) []string {
	var found []string
	for _, path := range slices.Sorted(maps.Keys(pkgs)) {
		p := pkgs[path]
		if _, ok := floorOf[path]; !ok {
			found = append(found, path+" has no floor: place it in the table")
			continue
		}
		for _, to := range p.imports {
			found = append(found, arrow(path, to, false)...)
		}
		for _, to := range p.testImports {
			found = append(found, arrow(path, to, true)...)
		}
		if slices.Contains(stdlibOnly, path) {
			for _, to := range p.imports {
				if first, _, _ := strings.Cut(to, "/"); first != "." && strings.Contains(first, ".") {
					found = append(found, fmt.Sprintf("%s imports %s, it is to import only the standard library", path, to))
				}
			}
		}
		found = append(found, heavy(path, p.deps)...)
	}
	for _, path := range slices.Sorted(maps.Keys(floorOf)) {
		if _, ok := pkgs[path]; !ok {
			found = append(found, path+" has a floor but does not exist: take it out of the table")
		}
	}
	return found
}

// arrow judges one import.
func arrow(from, to string, inTest bool) []string {
	to, ok := strings.CutPrefix(to, inModule)
	if !ok || to == from {
		return nil
	}
	if inTest && testMayImport[to] {
		return nil
	}
	edge := [2]string{from, to}
	a, b := floorOf[from], floorOf[to]
	where := fmt.Sprintf("%s (floor %d) imports %s (floor %d)", from, a, to, b)
	switch {
	case banned[edge]:
		return []string{where + ": this arrow is banned"}
	case b > a:
		return []string{where + ": imports point down"}
	case b == a && a != 1 && !mayImport[edge]:
		return []string{where + ": packages on one floor do not import each other"}
	}
	return nil
}

// heavy judges what a package reaches.
func heavy(path string, deps []string) []string {
	var found []string
	for _, rule := range heavyRules {
		if !slices.ContainsFunc(deps, func(d string) bool { return under(d, rule.module) }) {
			continue
		}
		isUnder := func(of string) bool { return under(path, of) }
		if slices.ContainsFunc(rule.never, isUnder) || len(rule.only) > 0 && !slices.ContainsFunc(rule.only, isUnder) {
			found = append(found, fmt.Sprintf("%s reaches %s, which does not belong there", path, rule.module))
		}
	}
	return found
}

func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
