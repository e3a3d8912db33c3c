# Asks pods over HTTP about five times a second, each by itself, and writes FOLDER/NAME: a line "TIME ok|no" for each answer,
# TIME being when it was asked. Ends when FOLDER/stop exists. Runs in a node; Perl's own core only (Debian's perl-base).
#
#   perl poll.pl FOLDER NAME=ADDRESS:PORT...      ADDRESS may be @FILE, which holds it: a pod that tells where it is
use strict;
use warnings;
use Socket;

my ($folder, @targets) = @ARGV;
my $page = "castoff web";

# clock_gettime(CLOCK_REALTIME) of amd64; the core has no finer clock than seconds.
sub now {
    my $spec = pack "qq", 0, 0;
    syscall(228, 0, $spec) == 0 or die "no clock: $!\n";
    my ($seconds, $nanoseconds) = unpack "qq", $spec;
    return sprintf "%d.%03d", $seconds, $nanoseconds / 1e6;
}

sub answers {
    my ($address, $port) = @_;
    if ($address =~ s/^@//) {
        open my $file, "<", $address or return 0;
        $address = <$file> // return 0;
        chomp $address;
    }
    my $packed = inet_aton($address) or return 0;
    my $got = "";
    eval {
        local $SIG{ALRM} = sub { die "too late\n" };
        alarm 2;
        socket my $s, PF_INET, SOCK_STREAM, 0 or die;
        connect $s, sockaddr_in($port, $packed) or die;
        syswrite $s, "GET / HTTP/1.0\r\n\r\n" or die;
        1 while sysread $s, $got, 4096, length $got;
        alarm 0;
    };
    alarm 0;
    return index($got, $page) >= 0;
}

for my $target (@targets) {
    my ($name, $address, $port) = $target =~ /^([^=]+)=(.+):(\d+)$/ or die "not a target: $target\n";
    my $pid = fork // die "fork: $!\n";
    next if $pid;
    open my $log, ">", "$folder/$name" or die "$folder/$name: $!\n";
    select((select($log), $| = 1)[0]);
    until (-e "$folder/stop") {
        my $at = now();
        print $log "$at ", answers($address, $port) ? "ok" : "no", "\n";
        select undef, undef, undef, 0.2;
    }
    exit 0;
}
1 while wait != -1;
