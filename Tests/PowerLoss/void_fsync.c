/* For LD_PRELOAD: a program whose promises of durability are worth nothing. The test must notice. */
int fsync(int descriptor) { (void)descriptor; return 0; }
int fdatasync(int descriptor) { (void)descriptor; return 0; }
