"""How sites are asked: seldom, one page at a time, under our own name, and not at all where they say so."""
