#!/bin/bash
# Lists a directory tree so that two can be compared with diff: tree.sh [--links] [--blocks] DIR
#
# One line a path, sorted by bytes, the root as `.`:
#
#   PATH TYPE MODE UID:GID SIZE MTIME [->TARGET] [dev=MAJOR,MINOR] [same=PATH] [sha256=…] [xattr NAME=HEX]…
#
# Names are escaped (\xHH). SIZE is left out where a file system has its own idea of it (directories). `same` names the first
# path of the same inode, and only that one has the sum. Overlay's deletion marks are of type `whiteout` and have nothing
# else: what else such a node has nobody sees. Attributes that overlay keeps for itself are left out, all but `opaque`.
# --links adds the link count of everything but directories, --blocks the blocks a file takes on disk.
#
# Perl's core and sha256sum only: every node has them, and neither getfattr nor getfacl nor getcap. A capability and an ACL
# are extended attributes. All contents are read by one sha256sum, so 80,000 files take seconds.
set -eu -o pipefail
export LC_ALL=C

options=''
while [ $# -gt 1 ]; do
    options="$options $1"
    shift
done
[ $# = 1 ] && [ -d "$1" ] || { echo "usage: tree.sh [--links] [--blocks] DIR" >&2 && exit 64; }
sums=$(mktemp)
trap 'rm -f "$sums"' EXIT
cd "$1"

# shellcheck disable=SC2016,SC2086 # Perl's variables; a list of options
perl -e '
use strict;
use warnings;
my ($sums, %option) = (shift, map { $_ => 1 } @ARGV);
binmode STDOUT;

# Numbers of system calls. Perl has no statx (its own stat has no nanoseconds) and no extended attributes.
chomp(my $machine = `uname -m`);
my %calls = (x86_64 => [332, 192, 195], aarch64 => [291, 9, 12]);
my ($STATX, $GET, $LIST) = @{$calls{$machine} or die "tree.sh: no numbers of system calls for $machine\n"};
my ($buffer, $status) = ("\0" x 65537, "\0" x 256);

sub escaped {
    my ($text) = @_;
    $text =~ s/([^!-~]|\\)/sprintf "\\x%02x", ord $1/ge;
    return $text;
}

sub attributes {
    my ($path) = @_;
    my $length = syscall($LIST, $path, $buffer, 65536);
    die "tree.sh: attributes of $path: $!\n" if $length < 0 && !$!{EOPNOTSUPP};
    my @found;
    return @found if $length <= 0;
    for my $name (sort split /\0/, substr $buffer, 0, $length) {
        next if $name =~ /^trusted\.overlay\.(origin|impure|nlink|upper|uuid|protattr)$/;
        my $size = syscall($GET, $path, $name, $buffer, 65536);
        die "tree.sh: $name of $path: $!\n" if $size < 0;
        push @found, escaped($name) . "=" . unpack "H*", substr $buffer, 0, $size;
    }
    return @found;
}

my @paths = (".");
my @left = (".");
while (defined(my $directory = pop @left)) {
    opendir my $handle, $directory or die "tree.sh: $directory: $!\n";
    for my $name (readdir $handle) {
        next if $name eq "." || $name eq "..";
        my $path = $directory eq "." ? "./$name" : "$directory/$name";
        push @paths, $path;
        push @left, $path if lstat $path and -d _;
    }
}

my (@lines, %first, @files);
my %kind = (0100000, "file", 0040000, "dir", 0120000, "link", 0020000, "char", 0060000, "block", 0010000, "fifo", 0140000, "socket");
for my $path (sort @paths) {
    # AT_FDCWD, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS
    syscall($STATX, -100, $path, 0x100, 0x7ff, $status) == 0 or die "tree.sh: $path: $!\n";
    my ($links, $uid, $gid, $mode, $inode, $size, $blocks, $seconds, $nanos, $major, $minor, $device) =
        unpack "x16 L L L S x2 Q Q Q x56 q L x4 L L Q", $status;
    my $kind = $kind{$mode & 0170000};
    my $name = $path eq "." ? "." : escaped(substr $path, 2);
    if ($kind eq "char" && !$major && !$minor) {
        push @lines, [$name, "whiteout"];
        next;
    }
    my @line = ($name, $kind, sprintf("%04o", $mode & 07777), "$uid:$gid", $kind eq "dir" ? "-" : $size, sprintf("%d.%09d", $seconds, $nanos));
    push @line, "->" . escaped(readlink $path) if $kind eq "link";
    push @line, "dev=$major,$minor" if $kind eq "char" || $kind eq "block";
    push @line, "links=$links" if $option{"--links"} && $kind ne "dir";
    push @line, "blocks=$blocks" if $option{"--blocks"} && $kind eq "file";
    push @line, map { "xattr $_" } attributes($path);
    push @lines, \@line;
    next if $kind eq "dir";
    if (defined $first{"$device $inode"}) { push @line, "same=" . $first{"$device $inode"}; }
    else {
        $first{"$device $inode"} = $name;
        push @files, [$path, \@line] if $kind eq "file";
    }
}

# One after the other in the order given, with NUL after each name, so that no name has to be parsed.
open my $list, ">", $sums or die "tree.sh: $sums: $!\n";
print $list map { "$_->[0]\0" } @files;
close $list or die "tree.sh: $sums: $!\n";
open my $summed, "-|", "xargs", "-0", "-r", "-a", $sums, "sha256sum", "-b", "-z" or die "tree.sh: sha256sum: $!\n";
$/ = "\0";
for my $file (@files) {
    my $sum = <$summed>;
    die "tree.sh: no sum of $file->[0]\n" unless defined $sum && $sum =~ /^([0-9a-f]{64}) [* ](.*)\0$/s && $2 eq $file->[0];
    push @{$file->[1]}, "sha256=$1";
}
close $summed or die "tree.sh: sha256sum failed\n";
print join("\n", map { join " ", @$_ } @lines), "\n";
' "$sums" $options
