// Empty on purpose: this package only pins boring-sys (see Cargo.toml).
