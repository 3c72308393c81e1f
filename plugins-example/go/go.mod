module go-example

go 1.25

require github.com/pgq-host/pgq-host/sdk/go v0.1.0

replace github.com/pgq-host/pgq-host/sdk/go => ../../sdk/go
