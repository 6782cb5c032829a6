module github.com/litebase/litebase-go

go 1.19
