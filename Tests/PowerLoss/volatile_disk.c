/* A disk with a volatile write cache, and a power switch.
 *
 *   volatile_disk MEBIBYTES MOUNTPOINT
 *
 * MOUNTPOINT/disk.img is the disk; a loop device makes a block device of it. What is written there is volatile until the
 * next fsync of the file, which is what a loop device makes of a flush (REQ_OP_FLUSH, drivers/block/loop.c). The file is
 * opened for direct I/O, so that the kernel keeps nothing of it and reads and writes come here in their order.
 *
 * A line that is written to MOUNTPOINT/control is a command:
 *
 *   cut SEED SECTOR PERCENT WRITES PATH
 *                makes PATH, as soon as that many more writes have come: the disk as it is after the power failed then.
 *                Everything that was flushed is there. Of what was not, each sector of SECTOR bytes has, by chance, its
 *                flushed content or that of one of the later writes; PERCENT is the chance of the latter. So writes are
 *                reordered, lost, and torn between sectors. The disk itself goes on. PATH is there when it is complete.
 *   lie                            from now on a flush does nothing, as in a disk that lies.
 *
 * One thread: every request is whole before the next one, and a cut falls between two of them.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK "/disk.img"
#define CONTROL "/control"
/* The least that any disk writes as a whole. */
#define UNIT 512u

/* A unit that was written since the last flush, in the order of writing. */
struct pending {
    uint64_t unit;
    unsigned char bytes[UNIT];
};

static uint64_t disk_size;
static unsigned char *flushed, *current;
static struct pending *log_entries;
static size_t log_count, log_capacity;
static uint64_t flush_count, write_count;
static bool is_lying;

/* A cut that is to come. */
static struct {
    bool is_set;
    uint64_t seed, writes_left;
    unsigned sector_size, percent;
    char path[4000];
} next_cut;

static void cut_if_due(void);

static bool is_disk(const char *path) { return strcmp(path, DISK) == 0; }
static bool is_control(const char *path) { return strcmp(path, CONTROL) == 0; }

static int get_attributes(const char *path, struct stat *attributes, struct fuse_file_info *info)
{
    (void)info;
    memset(attributes, 0, sizeof *attributes);
    attributes->st_nlink = 1;
    if (strcmp(path, "/") == 0)
        attributes->st_mode = S_IFDIR | 0700, attributes->st_nlink = 2;
    else if (is_disk(path))
        attributes->st_mode = S_IFREG | 0600, attributes->st_size = (off_t)disk_size;
    else if (is_control(path))
        attributes->st_mode = S_IFREG | 0200;
    else
        return -ENOENT;
    return 0;
}

static int open_file(const char *path, struct fuse_file_info *info)
{
    if (!is_disk(path) && !is_control(path)) return -ENOENT;
    info->direct_io = 1;
    return 0;
}

static int truncate_file(const char *path, off_t size, struct fuse_file_info *info)
{
    (void)size, (void)info;
    return is_control(path) ? 0 : -EPERM;
}

static int read_disk(const char *path, char *bytes, size_t count, off_t offset, struct fuse_file_info *info)
{
    (void)info;
    if (!is_disk(path)) return -EACCES;
    if ((uint64_t)offset >= disk_size) return 0;
    if (count > disk_size - (uint64_t)offset) count = disk_size - (uint64_t)offset;
    memcpy(bytes, current + offset, count);
    return (int)count;
}

static bool remember(uint64_t unit)
{
    if (log_count == log_capacity) {
        size_t capacity = log_capacity ? 2 * log_capacity : 4096;
        struct pending *grown = realloc(log_entries, capacity * sizeof *grown);
        if (!grown) return false;
        log_entries = grown;
        log_capacity = capacity;
    }
    log_entries[log_count].unit = unit;
    memcpy(log_entries[log_count].bytes, current + unit * UNIT, UNIT);
    log_count++;
    return true;
}

static int write_disk(const char *bytes, size_t count, uint64_t offset)
{
    /* A block device writes whole sectors. */
    if (offset % UNIT || count % UNIT || offset + count > disk_size) return -EINVAL;
    memcpy(current + offset, bytes, count);
    for (uint64_t unit = offset / UNIT; unit < (offset + count) / UNIT; unit++)
        if (!remember(unit)) return -ENOMEM;
    write_count++;
    if (next_cut.is_set && next_cut.writes_left > 0) next_cut.writes_left--;
    cut_if_due();
    return (int)count;
}

static int flush_disk(const char *path, int only_data, struct fuse_file_info *info)
{
    (void)only_data, (void)info;
    if (!is_disk(path) || is_lying) return 0;
    for (size_t index = 0; index < log_count; index++)
        memcpy(flushed + log_entries[index].unit * UNIT, log_entries[index].bytes, UNIT);
    log_count = 0;
    flush_count++;
    return 0;
}

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static uint64_t mix(uint64_t number)
{
    number += 0x9e3779b97f4a7c15;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
    number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
    return number ^ (number >> 31);
}

static int write_image(const unsigned char *image, const char *path)
{
    static const unsigned char zeros[1 << 16];
    char unfinished[4096];
    snprintf(unfinished, sizeof unfinished, "%s.part", path);
    int file = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return -errno;
    int result = ftruncate(file, (off_t)disk_size) ? -errno : 0;
    for (uint64_t offset = 0; !result && offset < disk_size; offset += sizeof zeros)
        if (memcmp(image + offset, zeros, sizeof zeros) &&
            pwrite(file, image + offset, sizeof zeros, (off_t)offset) != (ssize_t)sizeof zeros)
            result = -EIO;
    if (close(file) && !result) result = -errno;
    if (!result && rename(unfinished, path)) result = -errno;
    return result;
}

/* How many of the writes of its units a sector keeps: the same number for all units of one sector, so that no sector is
 * torn; a write that the sector did not see changes nothing in it. */
static int cut_power(uint64_t seed, unsigned sector_size, unsigned percent, const char *path)
{
    uint64_t sector_count = disk_size / sector_size;
    unsigned char *image = mmap(NULL, disk_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* The last entry of the log that a sector keeps, plus one. */
    size_t *kept = calloc(sector_count, sizeof *kept);
    if (image == MAP_FAILED || !kept) return -ENOMEM;
    memcpy(image, flushed, disk_size);
    /* Each entry may be the last one: by reservoir sampling, one of all its writes is chosen for each sector. */
    uint32_t *seen = calloc(sector_count, sizeof *seen);
    if (!seen) return -ENOMEM;
    for (size_t index = 0; index < log_count; index++) {
        uint64_t sector = log_entries[index].unit * UNIT / sector_size;
        bool is_lost = mix(seed ^ mix(sector)) % 100 >= percent;
        seen[sector]++;
        if (!is_lost && mix(seed + 1 + index) % seen[sector] == 0) kept[sector] = index + 1;
    }
    size_t kept_count = 0;
    for (size_t index = 0; index < log_count; index++) {
        uint64_t unit = log_entries[index].unit, sector = unit * UNIT / sector_size;
        /* The units of a sector that one request wrote are neighbours in the log: they are kept together. */
        size_t last = kept[sector];
        while (last && last < log_count && log_entries[last].unit == log_entries[last - 1].unit + 1 &&
               log_entries[last].unit * UNIT / sector_size == sector)
            last++;
        if (index >= last) continue;
        memcpy(image + unit * UNIT, log_entries[index].bytes, UNIT);
        kept_count++;
    }
    int result = write_image(image, path);
    fprintf(stderr, "cut: %" PRIu64 " writes, %" PRIu64 " flushes so far; %zu sectors of 512 bytes not flushed, %zu kept\n",
            write_count, flush_count, log_count, kept_count);
    munmap(image, disk_size);
    free(kept);
    free(seen);
    return result;
}

static void cut_if_due(void)
{
    if (!next_cut.is_set || next_cut.writes_left > 0) return;
    next_cut.is_set = false;
    int result = cut_power(next_cut.seed, next_cut.sector_size, next_cut.percent, next_cut.path);
    if (result) fprintf(stderr, "no image: %s\n", strerror(-result));
}

static int command(const char *bytes, size_t count)
{
    char line[4096];
    if (count >= sizeof line) return -EINVAL;
    memcpy(line, bytes, count);
    line[count] = 0;
    if (strcmp(line, "lie\n") == 0) {
        is_lying = true;
        return (int)count;
    }
    if (sscanf(line, "cut %" SCNu64 " %u %u %" SCNu64 " %3999[^\n]", &next_cut.seed, &next_cut.sector_size,
               &next_cut.percent, &next_cut.writes_left, next_cut.path) != 5)
        return -EINVAL;
    if (next_cut.sector_size < UNIT || next_cut.sector_size % UNIT || disk_size % next_cut.sector_size ||
        next_cut.percent > 100)
        return -EINVAL;
    next_cut.is_set = true;
    cut_if_due();
    return (int)count;
}

static int write_file(const char *path, const char *bytes, size_t count, off_t offset, struct fuse_file_info *info)
{
    (void)info;
    return is_disk(path) ? write_disk(bytes, count, (uint64_t)offset) : command(bytes, count);
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .open = open_file,
    .truncate = truncate_file,
    .read = read_disk,
    .write = write_file,
    .fsync = flush_disk,
};

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: volatile_disk MEBIBYTES MOUNTPOINT\n");
        return 64;
    }
    disk_size = strtoull(argv[1], NULL, 10) << 20;
    if (!disk_size) return 64;
    flushed = mmap(NULL, disk_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    current = mmap(NULL, disk_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (flushed == MAP_FAILED || current == MAP_FAILED) {
        perror("volatile_disk");
        return 71;
    }
    /* In the foreground, with one thread. */
    char *arguments[] = {argv[0], "-f", "-s", argv[2], NULL};
    return fuse_main(4, arguments, &operations, NULL);
}
