module github.com/pgq-host/pgq-host/sdk/go

go 1.25
