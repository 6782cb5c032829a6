print("litebase")
