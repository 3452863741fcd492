//! Promise S1: no zombie stays.

use crate::world::{PUPPET, World, children, is_zombie, send, soak, wait_until};

#[test]
fn twenty_thousand_orphans_are_reaped_and_cost_no_memory() {
    for mut world in World::both("S1") {
        world.hello();
        world.start(1, "sleep 1000");
        let run = |world: &mut World, process, count: u32| {
            world.start(process, &format!("{PUPPET} orphans {count} 5000 0"));
            assert_eq!(world.hear(), format!("ended {process} code 0"));
            let zombies = || children(world.init).into_iter().filter(|pid| is_zombie(*pid)).count();
            wait_until("all are reaped", || (zombies() == 0).then_some(()));
        };
        run(&mut world, 2, 1000);
        let before = world.memory("RssAnon");
        run(&mut world, 3, 20_000 * soak());
        let after = world.memory("RssAnon");
        println!("own memory: {before} KiB before, {after} KiB after");
        assert!(after <= before + 16, "{before} KiB before, {after} KiB after");
        // The worker and the first process are all that is left.
        wait_until("only two are left", || (children(world.init).len() == 2).then_some(()));
        world.bye(0);
    }
}

#[test]
fn an_orphan_is_adopted_and_reaped_in_time_while_nothing_else_happens() {
    let mut world = World::new();
    world.hello();
    world.start(1, "sh -c (sleep\u{1}0.1&)");
    assert_eq!(world.hear(), "ended 1 code 0");
    // It was in the group of the first, so it was told to end with it.
    wait_until("it is gone", || (children(world.init) == [world.worker]).then_some(()));
    // The first ends only when the other has left its group: until then it is told to end with it.
    let leaves = "mkfifo $PUPPET.left; \
        setsid sh -c 'echo >$PUPPET.left; exec sleep 1000' & \
        read line <$PUPPET.left";
    world.start(2, &format!("sh -c {}", leaves.replace(' ', "\u{1}")));
    assert_eq!(world.hear(), "ended 2 code 0");
    let adopted = wait_until("it is adopted", || {
        children(world.init).into_iter().find(|pid| *pid != world.worker)
    });
    send(adopted, libc::SIGKILL);
    wait_until("it is reaped", || (!children(world.init).contains(&adopted)).then_some(()));
    world.bye(0);
}
