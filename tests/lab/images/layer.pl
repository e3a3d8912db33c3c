# Writes one image layer, a tar stream, to standard output. Perl's own core only (Debian's perl-base, which every node has):
# nothing has to be installed, no file has to exist with the attributes it gets in the layer, and the same description gives
# the same bytes, so that image ids stay.
#
#   perl layer.pl <DESCRIPTION                one entry a line, see below
#   perl layer.pl --bulk FILES BYTES NUMBER   many files with contents that do not compress; NUMBER tells layers apart
#
# An entry: TYPE PATH MODE UID:GID MTIME [WORD…]
#   TYPE   d directory, f file, l symlink, h hard link, c character device, b block device, p fifo
#   PATH   bytes; \xHH for what would not be one word of text; %NUMBER in it is that many letters n
#   WORD   text:BYTES, file:PATH, zero:SIZE, random:SIZE (contents); to:PATH (target of l, h); dev:MAJOR,MINOR;
#          NAME=BYTES (an extended attribute); acl:TEXT or default-acl:TEXT, TEXT like u::6,u:1234:6,g::4,m::6,o::4
use strict;
use warnings;

binmode STDIN;
binmode STDOUT;
my %flag = (f => 0, h => 1, l => 2, c => 3, b => 4, d => 5, p => 6);

sub out { print STDOUT $_[0] or die "layer.pl: cannot write: $!\n"; }

sub bytes {
    my ($text) = @_;
    $text =~ s/%(\d+)/'n' x $1/ge;
    $text =~ s/\\x([0-9a-fA-F]{2})/chr hex $1/ge;
    return $text;
}

# The kernel's form of an ACL: a version, then tag, permissions and id of each entry.
sub acl {
    my %tag = (u => [1, 2], g => [4, 8], m => [0x10, 0x10], o => [0x20, 0x20]);
    my @entries = map { [split /:/] } split /,/, $_[0];
    my @coded = map { [$tag{$_->[0]}[$_->[1] eq '' ? 0 : 1], $_->[2], $_->[1] eq '' ? 0xffffffff : $_->[1]] } @entries;
    return pack('V', 2) . join '', map { pack 'vvV', @$_ } sort { $a->[0] <=> $b->[0] || $a->[2] <=> $b->[2] } @coded;
}

# A record of a pax header counts its own length, digits included.
sub record {
    my ($key, $value) = @_;
    my $rest = " $key=$value\n";
    my $length = length($rest) + 1;
    $length++ while length($length . $rest) != $length;
    return $length . $rest;
}

sub header {
    my ($name, $mode, $uid, $gid, $size, $mtime, $flag, $target, $major, $minor) = @_;
    my $block = pack 'a100 a8 a8 a8 a12 a12 a8 a1 a100 a6 a2 a32 a32 a8 a8 a155 a12', $name, sprintf('%07o', $mode),
        sprintf('%07o', $uid), sprintf('%07o', $gid), sprintf('%011o', $size), sprintf('%011o', $mtime), ' ' x 8, $flag,
        $target, "ustar\0", '00', '', '', sprintf('%07o', $major), sprintf('%07o', $minor), '', '';
    substr($block, 148, 8) = sprintf "%06o\0 ", unpack '%32C*', $block;
    return $block;
}

sub padded { return "\0" x (-$_[0] % 512); }

sub entry {
    my (%e) = (mode => 0644, uid => 0, gid => 0, size => 0, mtime => '0', target => '', major => 0, minor => 0, xattrs => {}, @_);
    my ($seconds, $fraction) = split /\./, $e{mtime};
    my %pax;
    $pax{mtime} = $e{mtime} if $fraction;
    $pax{path} = $e{path} if length $e{path} > 100;
    $pax{linkpath} = $e{target} if length $e{target} > 100;
    for my $id (qw(uid gid)) { $pax{$id} = $e{$id} if $e{$id} > 07777777; }
    $pax{"SCHILY.xattr.$_"} = $e{xattrs}{$_} for keys %{$e{xattrs}};
    if (%pax) {
        my $text = join '', map { record($_, $pax{$_}) } sort keys %pax;
        out(header('PaxHeaders/0', 0644, 0, 0, length $text, 0, 'x', '', 0, 0) . $text . padded(length $text));
    }
    out(header(substr($e{path}, 0, 100), $e{mode}, $e{uid} & 07777777, $e{gid} & 07777777, $e{size}, $seconds, $flag{$e{type}},
        substr($e{target}, 0, 100), $e{major}, $e{minor}));
}

# Bytes that look random and are the same on every machine.
sub noise {
    my ($size, $seed) = @_;
    srand $seed;
    my $text = pack 'L*', map { int rand 4294967296 } 0 .. $size / 4;
    return substr $text, 0, $size;
}

sub described {
    while (my $line = <STDIN>) {
        chomp $line;
        next if $line =~ /^\s*(#|$)/;
        my ($type, $path, $mode, $owner, $mtime, @words) = split ' ', $line;
        die "layer.pl: line $.: $line\n" unless defined $mtime && exists $flag{$type};
        my ($uid, $gid) = split /:/, $owner;
        my %e = (type => $type, path => bytes($path), mode => oct $mode, uid => $uid, gid => $gid, mtime => $mtime);
        my $content = '';
        for (@words) {
            if (/^text:(.*)/) { $content = bytes($1); }
            elsif (/^zero:(\d+)/) { $content = "\0" x $1; }
            elsif (/^random:(\d+)/) { $content = noise($1, $.); }
            elsif (/^file:(.*)/) {
                open my $file, '<:raw', $1 or die "layer.pl: $1: $!\n";
                local $/;
                $content = <$file>;
            }
            elsif (/^to:(.*)/) { $e{target} = bytes($1); }
            elsif (/^dev:(\d+),(\d+)/) { @e{qw(major minor)} = ($1, $2); }
            elsif (/^acl:(.*)/) { $e{xattrs}{'system.posix_acl_access'} = acl($1); }
            elsif (/^default-acl:(.*)/) { $e{xattrs}{'system.posix_acl_default'} = acl($1); }
            elsif (/^([^=]+)=(.*)/) { $e{xattrs}{$1} = bytes($2); }
            else { die "layer.pl: line $.: what is `$_`?\n"; }
        }
        # Directories end in a slash, as tar writes them; the root is ./
        $e{path} .= '/' if $type eq 'd';
        entry(%e, size => length $content);
        out($content . padded(length $content));
    }
}

# Two fifths of the bytes in one large file, the rest over files of uneven size, sixteen in a directory. Slices of one pool
# are not alike, since each begins with the file's number.
sub bulk {
    my ($files, $bytes, $number) = @_;
    open my $random, '<:raw', '/dev/urandom' or die "layer.pl: $!\n";
    my ($pool, $most) = ('', 16 << 20);
    while (length $pool < $most) { read($random, $pool, 1 << 20, length $pool) or die "layer.pl: $!\n"; }
    my ($large, $small) = (int($bytes * 2 / 5), 0);
    $small = int(($bytes - $large) / ($files - 1)) if $files > 1;
    my $mtime = 1600000000 + $number;
    entry(type => 'd', path => "layer$number/", mode => 0755, mtime => $mtime);
    for my $n (0 .. $files - 1) {
        my $directory = sprintf 'layer%d/%04d', $number, $n / 16;
        entry(type => 'd', path => "$directory/", mode => 0755, mtime => $mtime) if $n % 16 == 0;
        # 0.5 to 1.5 of the mean, by turns, so that the sum stays.
        my $size = $n == 0 ? $large : int($small * (0.5 + ($n % 17) / 16));
        entry(type => 'f', path => sprintf('%s/file%06d', $directory, $n), size => $size, mtime => $mtime);
        my $rest = $size;
        while ($rest > 0) {
            my $part = sprintf '%08d/%08d/%08d', $number, $n, $rest;
            $part .= substr $pool, ($n * 7919 + $rest) % ($most - (1 << 20)), 1 << 20;
            $part = substr $part, 0, $rest if length $part > $rest;
            $rest -= length $part;
            out($part);
        }
        out(padded($size));
    }
}

if (@ARGV && $ARGV[0] eq '--bulk') { bulk(@ARGV[1 .. 3]); }
else { described(); }
# Two blocks of nothing end a tar; with nothing before them this is the empty layer that every engine knows.
out("\0" x 1024);
close STDOUT or die "layer.pl: cannot write: $!\n";
