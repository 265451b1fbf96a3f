from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("arena", "0012_training_run_held_back")]

    operations = [
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("generate", "generate responses"),
                    ("train", "training run"),
                    ("export", "export a data set"),
                    ("analysis", "analyse a leaderboard"),
                    ("judge", "ask a judge"),
                    ("check", "check a contestant"),
                    ("demo_models", "build the demo's models"),
                ],
                max_length=12,
            ),
        ),
    ]
