/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void forget(struct km_replace *file)
{
	free(file->temp);
	free(file->target);
	*file = (struct km_replace){ .fd = -1 };
}

#define SELF_BYTES 32

/* The way from an open file to a name for it. */
static const char *self_of(int fd, char text[SELF_BYTES])
{
	snprintf(text, SELF_BYTES, "/proc/self/fd/%d", fd);
	return text;
}

/* A file without a name in the target's folder; -1 where there is no such, or no way to name it. */
static int open_nameless(const char *target)
{
	char *copy = strdup(target), self[SELF_BYTES];
	int fd = copy ? open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666) : -1;

	free(copy);
	if (fd >= 0 && access(self_of(fd, self), F_OK)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* A new file beside the target, with the rights that the target has or would get. */
static int open_temp(struct km_replace *file, const struct stat *old)
{
	const size_t bytes = strlen(file->target) + 32;
	int fd;

	file->temp = malloc(bytes);
	if (!file->temp)
		return -ENOMEM;
	snprintf(file->temp, bytes, "%s.%ld.tmp", file->target, (long)getpid());
	fd = open_nameless(file->target);
	file->nameless = fd >= 0;
	if (!file->nameless)
		fd = open(file->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	if (old)
		km_ignore(fchmod(fd, old->st_mode & 0777)); /* else it is the umask's */
	return fd;
}

static int open_in_place(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);

	return fd < 0 ? -errno : fd;
}

/* Return: where to write to, or -errno. */
static int open_target(struct km_replace *file, const char *path)
{
	struct stat st;
	bool is_there = !stat(path, &st);

	if (!*path)
		return -ENOENT;
	if (is_there && !S_ISREG(st.st_mode))
		return open_in_place(path, 0); /* a directory says so */
	/* A rename would replace what may not be written, and a link instead of its file. */
	if (is_there && access(path, W_OK))
		return -errno;
	file->target = is_there ? realpath(path, NULL) : strdup(path);
	/* A file without a name, such as /dev/fd/3 of a deleted one: nothing can take its place. */
	if (!file->target && is_there && errno == ENOENT)
		return open_in_place(path, O_TRUNC);
	if (!file->target)
		return errno ? -errno : -ENOMEM;
	return open_temp(file, is_there ? &st : NULL);
}

int km_replace_open(struct km_replace *file, const char *path)
{
	int fd;

	*file = (struct km_replace){ .fd = -1 };
	fd = open_target(file, path);
	if (fd < 0)
		forget(file); /* nothing of ours is there to be removed */
	else
		file->fd = fd;
	return fd < 0 ? fd : 0;
}

/* A nameless file gets its temporary name only now, for the time until the rename. */
static int name_temp(struct km_replace *file)
{
	char self[SELF_BYTES];

	if (!file->nameless)
		return 0;
	if (linkat(AT_FDCWD, self_of(file->fd, self), AT_FDCWD, file->temp, AT_SYMLINK_FOLLOW))
		return -errno;
	file->nameless = false;
	return 0;
}

int km_replace_settle(struct km_replace *file)
{
	int err = 0;

	/* A rename may reach the disk before the bytes do. */
	if (file->temp && fsync(file->fd))
		err = -errno;
	if (!err)
		err = name_temp(file);
	if (close(file->fd) && !err)
		err = -errno;
	file->fd = -1;
	return err;
}

int km_replace_commit(struct km_replace *file)
{
	int err = file->temp && rename(file->temp, file->target) ? -errno : 0;

	if (err)
		km_replace_abandon(file);
	else
		forget(file);
	return err;
}

void km_replace_abandon(struct km_replace *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->temp && !file->nameless)
		km_ignore(unlink(file->temp)); /* the error to tell is the first */
	forget(file);
}

int km_replace_end(struct km_replace *file, int err)
{
	if (!err)
		err = km_replace_settle(file);
	if (!err)
		return km_replace_commit(file);
	km_replace_abandon(file);
	return err;
}

int km_replace_print(const char *path, void (*print)(const void *ctx, FILE *to), const void *ctx)
{
	struct km_replace file;
	int err = km_replace_open(&file, path), fd;
	FILE *to;

	if (err)
		return err;
	fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0); /* the stream closes its own */
	to = fd < 0 ? NULL : fdopen(fd, "w");
	if (!to) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return km_replace_end(&file, err);
	}
	errno = 0;
	print(ctx, to);
	if (fflush(to) || ferror(to))
		err = errno ? -errno : -EIO;
	if (fclose(to) && !err)
		err = -errno;
	return km_replace_end(&file, err);
}
